"""What distorts training pictures beside what distorts test pictures, in the same units (docs/data.md)."""

import math

import pandas as pd

from bctlib.data.distortion import CAPTURE_CONDITIONS, TrainingDistortion
from bctlib.training.scales import scale_settings
from companion.tables.tables import markdown

Range = tuple[float, float]

INK_RANGE = 2.0
"""From paper to ink in what a network receives: magnitudes in units of [-1, 1] are shares of it times this."""
_BRIGHTNESS = "level, share of the ink range, either way"
_ALL = "all"


def training_ranges(scale: str = "desk") -> dict[str, Range]:
    """Least and most of each training distortion of a scale, in the units of CAPTURE_CONDITIONS, by its name there.

    What goes either way is given by its magnitude, and a shift by its length: along each axis it is uniform.
    Brightness, which is no capture condition, and noise are shares of the ink range; noise has one strength.
    """
    distortion = TrainingDistortion(**scale_settings(scale).distortion)
    noise = distortion.noise / INK_RANGE
    return {
        "rotation": (0.0, distortion.rotation),
        "shear": (0.0, distortion.shear),
        "shift": (0.0, math.sqrt(2) * distortion.shift),
        "scale": distortion.scale,
        "contrast": distortion.contrast,
        "noise": (noise, noise),
        "brightness": (0.0, distortion.brightness / INK_RANGE),
    }


def overlap(training: Range, test: Range) -> str:
    """The part of the test's range that training covers, with its share of that range; one value where it is one."""
    least, most = max(training[0], test[0]), min(training[1], test[1])
    if least > most:
        return "none"
    if least == most:
        return f"at {_number(least)} only"
    share = (most - least) / (test[1] - test[0])
    return f"{_text((least, most))} ({_ALL if share == 1 else f'{100 * share:.0f} %'} of the test's)"


def distortions_table(scale: str = "desk") -> pd.DataFrame:
    """A row per kind of distortion: its range in training and in the test, the unit, and where the two overlap."""
    training, test = training_ranges(scale), {each.name: (each.least, each.most) for each in CAPTURE_CONDITIONS}
    units = {each.name: each.unit for each in CAPTURE_CONDITIONS} | {"brightness": _BRIGHTNESS}
    rows = {}
    for name in [*training, *(name for name in test if name not in training)]:
        ranges = [each.get(name) for each in (training, test)]
        both = overlap(*ranges) if None not in ranges else f"none: {'test' if ranges[0] is None else 'training'} only"
        rows[name] = {
            "training": "–" if ranges[0] is None else _text(ranges[0]),
            "test": "–" if ranges[1] is None else _text(ranges[1]),
            "overlap": both,
            "unit": units[name],
        }
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("distortion")


def distortions_section() -> str:
    """`distortions_table` of the desk scale for a Markdown page."""
    return markdown(distortions_table())


def _text(limits: Range) -> str:
    least, most = map(_number, limits)
    return least if least == most else f"{least} to {most}"


def _number(value: float) -> str:
    return f"{value:.3g}"
