"""The paper's own recipe (Sec. 3.2), for faces and, as far as it is said, for re-identification (Table 5).

In a rehearsal (`bctlib.training.rehearsal`) it is one step with a small network.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from bctlib.base.errors import UsageError
from bctlib.training.recipe import Schedule
from bctlib.training.rehearsal import is_rehearsal, one_step


@dataclass(frozen=True)
class PaperSettings:
    """One task on the paper's own data. The fields that `ScaleSettings` has too mean the same.

    size: height and width at which images are seen, in pixels.
    """

    backbones: Mapping[str, str]
    schedule: Schedule
    head_scale: float
    margin: float
    size: tuple[int, int]
    distortion: Mapping[str, Any] = field(default_factory=dict)


_RESNETS = {"base": "resnet101", "deep": "resnet152"}

# Faces. From Sec. 3.2: networks, 112 x 112, scale 32 (App. A), margin 0.4, SGD at 0.1 divided by 10 after epochs 8, 12
# and 14 of 16, batch 320, weight decay 5e-4, mis-alignment and colour distortion. Assumed: momentum 0.9, the magnitudes
# of the distortion, no mirroring (none is named).
#
# Persons. The paper says only that it follows its reference [39]; all of this is assumed, after what is usual on
# Market-1501: 256 x 128, 60 epochs of batches of 64, rate 0.1 divided by 10 after 40, mirroring; network and head as
# for faces. Weights start at random, while published models usually start from ImageNet: expect lower accuracies.
PAPER = {
    "faces": PaperSettings(
        backbones=_RESNETS,
        schedule=Schedule("steps", epochs=16, batch=320, rate=0.1, nesterov=False, drops=(8, 12, 14)),
        head_scale=32.0, margin=0.4, size=(112, 112),
    ),
    "persons": PaperSettings(
        backbones=_RESNETS,
        schedule=Schedule("steps", epochs=60, batch=64, rate=0.1, nesterov=False, drops=(40,)),
        head_scale=32.0, margin=0.4, size=(256, 128), distortion={"mirror": 0.5},
    ),
}  # fmt: skip


def paper_settings(task: str) -> PaperSettings:
    """The settings of a task of the paper, or their rehearsal.

    task: a key of PAPER. Raises UsageError for an unknown one, and for a rehearsal that would write into the folders of
    real runs.
    """
    if task not in PAPER:
        raise UsageError(f"unknown task {task!r}: expected one of {', '.join(PAPER)}")
    if not is_rehearsal():
        return PAPER[task]
    networks = {"base": "rehearsal-net", "deep": "rehearsal-net-deep"}
    return replace(PAPER[task], backbones=networks, schedule=one_step(PAPER[task].schedule))
