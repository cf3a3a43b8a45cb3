"""The four sizes at which everything here can be run."""

import difflib

from bctlib.base.errors import UsageError

SCALES = ("smoke", "desk", "gpu", "paper")


def check_scale(scale: str) -> str:
    """Give `scale` back, or raise UsageError that names the nearest known scale."""
    if scale in SCALES:
        return scale
    nearest = difflib.get_close_matches(str(scale), SCALES, n=1, cutoff=0.4)
    hint = f"; did you mean {nearest[0]!r}?" if nearest else ""
    raise UsageError(f"unknown scale {str(scale)!r}: expected one of {', '.join(SCALES)}{hint}")
