"""The colour of each model in every figure."""

import colorsys
from functools import cache

from bctlib.base.style import COLOURS, PALETTE
from bctlib.models import FOLLOW_UPS, MODELS

_SPARE = (PALETTE[9], PALETTE[6])
_GOLDEN_ANGLE = 0.381966


def colour_of(model: str) -> tuple[float, float, float]:
    """The model's colour, RGB from 0 to 1, the same at every lambda: one of COLOURS, else a colour of its own.

    Methods that are not in the paper get the palette's unused colours first, and then hues that never repeat.
    """
    return _colours()[model.partition("@")[0]]


@cache
def _colours() -> dict[str, tuple[float, float, float]]:
    others = [name for name in dict.fromkeys([spec.name for spec in FOLLOW_UPS] + list(MODELS)) if name not in COLOURS]
    further = (colorsys.hsv_to_rgb(number * _GOLDEN_ANGLE % 1, 0.55, 0.6) for number in range(len(others)))
    return COLOURS | dict(zip(others, [*_SPARE, *further], strict=False))
