"""The table of distortions in docs/data.md: its ranges are those of pictures actually drawn, measured on the pixels."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from bctlib.base.locations import PROJECT
from bctlib.data.distortion import CAPTURE_CONDITIONS, TrainingDistortion, capture
from bctlib.training.scales import scale_settings
from companion.tables.distortions import distortions_table, overlap, training_ranges

SIDE, COUNT = 64, 400
TEST = {each.name: (each.least, each.most) for each in CAPTURE_CONDITIONS}
DOTS = ((0, 0), (12, 0), (0, 12))
"""Places (x, y) from the centre in pixels: where three points go says which affine map moved them."""


def sheet(ink: int) -> np.ndarray:
    return np.full((COUNT, SIDE, SIDE), ink, np.uint8)


def dots(x: int, y: int) -> np.ndarray:
    """A square of 4 x 4 pixels of ink, its centre at (x, y) from that of the picture."""
    images, middle = sheet(0), SIDE // 2
    images[:, middle + y - 2 : middle + y + 2, middle + x - 2 : middle + x + 2] = 255
    return images


def in_training(images: np.ndarray, noise: bool = False) -> np.ndarray:
    """Drawn with one seed, so that different pictures meet the same distortions; ink 0 to 1, [COUNT, SIDE, SIDE]."""
    distort = TrainingDistortion(**scale_settings("desk").distortion)
    distort = distort if noise else replace(distort, noise=0)
    out = distort(torch.from_numpy(images), torch.Generator().manual_seed(3))[:, 0].double().numpy()
    return (out + 1) / 2


def in_test(name: str, images: np.ndarray) -> np.ndarray:
    condition = np.full(COUNT, list(TEST).index(name))
    return capture(images, condition, seed=3) / 255


def centres(images: np.ndarray) -> np.ndarray:
    """(x, y) of the ink over the paper's level, in pixels from the centre, [COUNT, 2]."""
    weights = images - np.median(images, axis=(1, 2), keepdims=True)
    weights[np.abs(weights) < 0.02] = 0
    places = np.arange(SIDE) - (SIDE - 1) / 2
    total = weights.sum((1, 2))
    return np.stack([weights.sum(1) @ places, weights.sum(2) @ places], 1) / total[:, None]


def movements(draw) -> dict[str, np.ndarray]:
    """Magnitudes of the affine map that `draw` applied to each picture: q = shift + shear(scale(rotation(p)))."""
    origin, right, down = (centres(draw(dots(*place))) for place in DOTS)
    columns = np.stack([right - origin, down - origin], 2) / 12
    scale = np.sqrt(np.linalg.det(columns))
    rotation = np.arctan2(columns[:, 1, 0], columns[:, 1, 1])
    shear = (columns[:, 0, 1] / scale + np.sin(rotation)) / np.cos(rotation)
    shift = np.hypot(*origin.T) / SIDE
    return {"scale": scale, "rotation": np.abs(np.degrees(rotation)), "shear": np.abs(shear), "shift": shift}


def assert_fills(values: np.ndarray, limits: tuple[float, float], reach: float = 0.9) -> None:
    """All drawn values lie within the limits, and reach most of the way from one to the other."""
    width = limits[1] - limits[0]
    assert limits[0] - 0.05 * width < values.min() and values.max() < limits[1] + 0.05 * width
    assert np.ptp(values) > reach * width


def test_training_draws_what_the_table_says():
    said = training_ranges()
    for name, values in movements(in_training).items():
        assert_fills(values, said[name], reach=0.8 if name == "shift" else 0.9)
    paper, ink = (in_training(sheet(level))[:, SIDE // 2, SIDE // 2] for level in (0, 255))
    assert_fills(ink - paper, said["contrast"])
    assert_fills(np.abs((ink + paper) / 2 - 0.5), said["brightness"])
    noise = in_training(sheet(0), noise=True) - in_training(sheet(0))
    assert noise.std((1, 2)) == pytest.approx(said["noise"][0], rel=0.1) and said["noise"][0] == said["noise"][1]


@pytest.mark.parametrize("name", TEST)
def test_the_test_draws_what_the_table_says(name):
    if name in ("rotation", "shear", "shift", "scale"):
        values = movements(lambda images: in_test(name, images))[name]
    elif name == "contrast":
        values = (in_test(name, sheet(255)) - in_test(name, sheet(0)))[:, 0, 0]
    elif name == "noise":
        values = in_test(name, sheet(128)).std((1, 2))
    elif name == "shading":  # the corner's centre is a little short of the corner
        values = in_test(name, sheet(0)).max((1, 2)) / (1 - 0.5 / SIDE)
        values = values[values > TEST[name][0]]  # darkest on the diagonal alone
    else:
        line = sheet(0)
        line[:, :, SIDE // 2] = 255
        profile = in_test(name, line)[:, SIDE // 2]
        places = np.arange(SIDE) - SIDE // 2
        values = np.sqrt((profile @ places**2) / profile.sum(1)) / SIDE
    assert_fills(values, TEST[name], reach=0.8)


def test_every_row_has_its_ranges_unit_and_overlap():
    table, said = distortions_table(), training_ranges()
    assert set(table.index) == set(said) | set(TEST) and len(table) == len(set(table.index))
    for name, row in table.iterrows():
        for column, ranges in (("training", said), ("test", TEST)):
            numbers = [float(each) for each in row[column].split(" to ")] if name in ranges else []
            assert numbers == pytest.approx(sorted(set(ranges.get(name, ()))), rel=5e-3), (name, column)
        assert row["overlap"].startswith("none") == (not (name in said and name in TEST)), name
    conditions = {each.name: each.unit for each in CAPTURE_CONDITIONS}
    assert {name: table.loc[name, "unit"] for name in conditions} == conditions


@pytest.mark.parametrize(
    "training, test, text",
    [
        ((0, 10), (5, 15), "5 to 10 (50 % of the test's)"),
        ((0, 20), (5, 15), "5 to 15 (all of the test's)"),
        ((0.05, 0.05), (0.04, 0.14), "at 0.05 only"),
        ((0, 4), (5, 15), "none"),
        ((16, 20), (5, 15), "none"),
        ((0, 5), (5, 15), "at 5 only"),
    ],
)
def test_overlap_is_the_part_of_the_tests_range_that_training_covers(training, test, text):
    assert overlap(training, test) == text


def test_the_page_names_the_shift_of_each_axis_as_a_length():
    assert training_ranges()["shift"][1] == pytest.approx(math.hypot(TrainingDistortion().shift, 0.08))
    assert "A shift is given by its length" in (PROJECT / "docs/data.md").read_text(encoding="utf-8")
