"""One thread for each process that trains at smoke or desk scale.

Two OpenMP threads wait for each other at every operation, and while they wait they spin: beside another program a
training with two threads nearly stands still, one with one thread gets its share of a core. The committed desk
results were made on one thread too, which their device text says. Larger scales keep all cores, since their data are
read and their galleries searched on the CPU.
"""

import os
from collections.abc import Mapping

THREADS = "OMP_NUM_THREADS"
ON_ONE_THREAD = ("smoke", "desk")
"""Scales at which a process trains on one thread."""


def with_threads(outside: Mapping[str, str], scale: str = "desk") -> dict[str, str]:
    """The environment `outside` with one thread at smoke or desk scale, unless it says how many."""
    return {THREADS: "1", **outside} if scale in ON_ONE_THREAD else dict(outside)


def set_threads(scale: str) -> None:
    """`with_threads` for this process, if torch is not loaded yet, and for those that it starts."""
    os.environ.update(with_threads(os.environ, scale))
