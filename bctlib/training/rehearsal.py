"""`BCT_REHEARSAL=1` in the environment: every command and notebook of a large scale, on a few images, in one step.

The models have recipes, and so keys, of their own.
"""

import os
from dataclasses import replace

from bctlib.base.errors import UsageError
from bctlib.training.recipe import Schedule

REHEARSAL = "BCT_REHEARSAL"
_MOVED = ("BCT_STORE", "BCT_RESULTS", "BCT_FIGURES")


def is_rehearsal() -> bool:
    """Whether it is set. Raises UsageError for a rehearsal that would write into the folders of real runs."""
    if not os.environ.get(REHEARSAL):
        return False
    if at_home := [name for name in _MOVED if not os.environ.get(name)]:
        raise UsageError(f"{REHEARSAL} is set, but not {', '.join(at_home)}: a rehearsal needs folders of its own")
    return True


def one_step(schedule: Schedule) -> Schedule:
    """A batch larger than the set is one step; a single one at the real rate could leave features that overflow."""
    return replace(schedule, epochs=1, batch=4096, rate=1e-3, drops=())
