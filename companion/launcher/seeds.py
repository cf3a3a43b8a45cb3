"""Lists of seeds as they are written on a command line."""

import re

from bctlib.base.errors import UsageError


def seeds_of(text: str) -> list[int]:
    """`5` means seeds 0 to 4; `0,3,4`, `[0, 3, 4]` and `5,` mean the seeds they list. Raises UsageError."""
    if text.strip().isdecimal():
        seeds = list(range(int(text))) if len(text.strip()) < 5 else []  # a count of millions is a slip
    else:
        entries = text.strip().removeprefix("[").removesuffix("]").strip().removesuffix(",").split(",")
        seeds = [int(entry) for entry in entries if re.fullmatch(r"\s*\d{1,9}\s*", entry)]
        if len(seeds) < len(entries):
            seeds = []
    if not seeds or len(set(seeds)) < len(seeds):
        raise UsageError(f"seeds: expected a count like 5 or a list of different ones like 0,3,4, not {text!r}")
    return seeds
