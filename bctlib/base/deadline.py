"""A time at which long work stops by itself, in a state from which it resumes: `with deadline.in_seconds(540): ...`.

A training looks at it beside every checkpoint (`bctlib.training.run_state`).
"""

import math
import time
from collections.abc import Iterator
from contextlib import contextmanager

from bctlib.base.errors import BctError

UNFINISHED = 3
"""Exit status of a command that stopped in time and goes on when it is called again."""

_ends = math.inf


class OutOfTime(BctError):
    """Work that stopped because its time was over, or too short to begin; what is done is saved."""

    def __init__(self, sentence: str):
        super().__init__(sentence, exit_code=UNFINISHED)


@contextmanager
def in_seconds(seconds: float) -> Iterator[None]:
    """Until the block ends, work of this process stops after so many seconds."""
    global _ends
    before, _ends = _ends, time.monotonic() + seconds
    try:
        yield
    finally:
        _ends = before


def seconds_left() -> float:
    """Infinite where nothing was said, 0 or less when it is over."""
    return _ends - time.monotonic()


def passed() -> bool:
    return seconds_left() <= 0
