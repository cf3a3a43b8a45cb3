"""The four scales: which data, which networks and how long; the paper's own recipe; and rehearsals.

Hyper-parameters of the glyph scales were chosen on validation identities, by models' accuracy with themselves alone.
Those of paper scale follow Sec. 3.2 for faces and, as far as the paper says, Table 5 for re-identification.

`BCT_REHEARSAL=1` in the environment turns every command and notebook of a large scale into one step on a few images
(at paper scale with a small network), to check that it runs. Its recipes, and so its models' keys, are distinct.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

from bctlib.base.errors import UsageError, did_you_mean
from bctlib.training.recipe import Schedule

SCALES = ("smoke", "desk", "gpu", "paper")


def check_scale(scale: str) -> str:
    """Return `scale`, or raise UsageError that names the nearest known scale."""
    if scale in SCALES:
        return scale
    hint = did_you_mean(str(scale), SCALES)
    raise UsageError(f"unknown scale {str(scale)!r}: expected one of {', '.join(SCALES)}{hint}")


REHEARSAL = "BCT_REHEARSAL"
_MOVED = ("BCT_STORE", "BCT_RESULTS", "BCT_FIGURES")


def is_rehearsal() -> bool:
    """Whether BCT_REHEARSAL is set. Raises UsageError if the rehearsal would write into the folders of real runs."""
    if not os.environ.get(REHEARSAL):
        return False
    if at_home := [name for name in _MOVED if not os.environ.get(name)]:
        raise UsageError(f"{REHEARSAL} is set, but not {', '.join(at_home)}: a rehearsal needs folders of its own")
    return True


def one_step(schedule: Schedule) -> Schedule:
    """A batch larger than the set is one step; a single one at the real rate could leave features that overflow."""
    return replace(schedule, epochs=1, batch=4096, rate=1e-3, drops=())


@dataclass(frozen=True)
class GlyphSource:
    """Glyph identities, which serve every task.

    folder: of the glyph set, inside the data folder. n_*: identities in each part of the split. least_drawn: typefaces
    that draw a smaller share of all identities are not trained on. seed: draws the split and the protocols, so that an
    interval over seeds covers the choice of identities too.
    """

    folder: str
    n_train: int
    n_validation: int
    n_test: int
    least_drawn: float = 0.0
    seed: int = 0

    kind: ClassVar[str] = "glyphs"

    def drawn_by(self, seed: int) -> "GlyphSource":
        return replace(self, seed=seed)


@dataclass(frozen=True)
class PhotoSource:
    """The paper's own data of one task. kind: that task. size: height and width of the framed images, in pixels."""

    kind: str
    size: tuple[int, int]

    def drawn_by(self, seed: int) -> "PhotoSource":
        """The paper's data have a published split."""
        return self


@dataclass(frozen=True)
class ScaleSettings:
    """What a scale trains, and on which data.

    source: its `kind` chooses the class that reads the data (`companion.workbench.scale_data`). backbones: the networks
    that `base` and `deep` stand for. head_scale, margin: of the cosine heads (paper: 32 and 0.4). distortion: settings
    of the training distortion that differ from its defaults.
    """

    source: GlyphSource | PhotoSource
    backbones: Mapping[str, str]
    schedule: Schedule
    head_scale: float
    margin: float
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
    "faces": ScaleSettings(
        PhotoSource("faces", size=(112, 112)),
        backbones=_RESNETS,
        schedule=Schedule("steps", epochs=16, batch=320, rate=0.1, nesterov=False, drops=(8, 12, 14)),
        head_scale=32.0, margin=0.4,
    ),
    "persons": ScaleSettings(
        PhotoSource("persons", size=(256, 128)),
        backbones=_RESNETS,
        schedule=Schedule("steps", epochs=60, batch=64, rate=0.1, nesterov=False, drops=(40,)),
        head_scale=32.0, margin=0.4, distortion={"mirror": 0.5},
    ),
}  # fmt: skip


def paper_settings(task: str) -> ScaleSettings:
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


_GLYPHNETS = {"base": "glyphnet-norm", "deep": "glyphnet-deep-norm"}

# Desk: the winner of a search on validation identities (docs/recipe.md; `./reproduce.sh recipe` shows it).
SETTINGS: dict[str, ScaleSettings] = {
    "smoke": ScaleSettings(
        GlyphSource(folder="glyphs", n_train=120, n_validation=40, n_test=120), backbones=_GLYPHNETS,
        schedule=Schedule("one-cycle", epochs=5, batch=64, rate=0.2, weight_decay=1e-3), head_scale=16.0, margin=0.2,
    ),
    "desk": ScaleSettings(
        GlyphSource(folder="glyphs", n_train=4755, n_validation=300, n_test=1300), backbones=_GLYPHNETS,
        schedule=Schedule("one-cycle", epochs=8, batch=128, rate=0.3, weight_decay=1e-3), head_scale=16.0, margin=0.2,
    ),
    "gpu": ScaleSettings(
        GlyphSource(folder="glyphs-full", n_train=12000, n_validation=500, n_test=5027),
        backbones={"base": "resnet18", "deep": "resnet50"},
        schedule=Schedule("one-cycle", epochs=16, batch=320, rate=0.2), head_scale=32.0, margin=0.4,
    ),
}  # fmt: skip


def scale_settings(scale: str, task: str = "faces") -> ScaleSettings:
    """The settings of a scale: of glyphs, which serve every task, or at paper scale of the task's own data.

    task: "faces" or "persons". gpu and paper scale may be rehearsed (see the module). Raises UsageError
    for an unknown name.
    """
    if check_scale(scale) == "gpu" and is_rehearsal():
        settings = SETTINGS["gpu"]
        few = replace(settings.source, n_train=16, n_validation=8, n_test=48)
        return replace(settings, source=few, schedule=one_step(settings.schedule))
    return SETTINGS.get(scale) or paper_settings(task)
