"""The search for the desk recipe: candidates of about equal training time, judged on validation identities alone.

Rules, budget and predictions were committed before the search ran (docs/recipe.md). A candidate changes `BASE` in what
its name says; epochs are set so that all see about as many seconds of training. Only `old` and `new*` are trained, so
that no cross accuracy exists when the choice is made.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from bctlib.metrics.spectrum import participation_ratio
from bctlib.training.recipe import Schedule
from bctlib.training.scales import GlyphSource, ScaleSettings
from companion.measure.diagnostics import RATIO
from companion.measure.templates import Measurement, identification, verification
from companion.results import save_rows
from companion.sources.glyph_data import GlyphData
from companion.workbench import Workbench

TABLE = "recipe"
MODELS = ("old", "new*")
CRITERION = {"TAR@FAR": "0.0001", "TPIR@FPIR": "0.01"}
"""The strict points whose mean over both models and both protocols decides."""

SOURCE = GlyphSource(folder="glyphs", n_train=4755, n_validation=300, n_test=1300)
BASE = ScaleSettings(
    SOURCE, backbones={"base": "glyphnet", "deep": "glyphnet-deep"},
    schedule=Schedule("one-cycle", epochs=8, batch=128, rate=0.3, weight_decay=1e-3), head_scale=16.0, margin=0.2,
)  # fmt: skip


def _network(name: str) -> Mapping[str, str]:
    return {"base": name, "deep": "glyphnet-deep"}


CANDIDATES: dict[str, ScaleSettings] = {
    "base": BASE,
    "half the typefaces": replace(
        BASE, source=replace(SOURCE, least_drawn=0.9), schedule=replace(BASE.schedule, epochs=10)
    ),
    "scale 24": replace(BASE, head_scale=24.0),
    "margin 0.3": replace(BASE, margin=0.3),
    "batch 256": replace(BASE, schedule=replace(BASE.schedule, epochs=9, batch=256, rate=0.4)),
    "stride 3": replace(BASE, backbones=_network("glyphnet-stride3")),
    "stride 4": replace(BASE, backbones=_network("glyphnet-stride4")),
    "normalised embedding": replace(BASE, backbones=_network("glyphnet-norm")),
    "combined": replace(BASE, backbones=_network("glyphnet-norm"), head_scale=24.0),
}


@dataclass
class CandidateBench(Workbench):
    """A workbench of desk scale with the settings of a candidate."""

    candidate: str = "base"

    def __post_init__(self):
        super().__post_init__()
        settings = CANDIDATES[self.candidate]
        self.settings = replace(settings, source=settings.source.drawn_by(self.seed))
        self.data = GlyphData(self.scale, self.settings)


def run_candidate(candidate: str, seed: int, device: str = "auto") -> None:
    """Train the candidate's models (or take them from the store), measure and save them as `results/desk/recipe.csv`.

    The candidate's name stands in the column `method`.
    """
    bench = CandidateBench("desk", seed, device, candidate=candidate)
    for name in MODELS:
        features = bench.features(name, "validation")
        protocols = bench.protocols("validation")
        rows = verification(protocols, features, features) + identification(protocols, features, features)
        rows.append(Measurement("embedding", RATIO, "", participation_ratio(features), len(features)))
        about = bench.about(name, name) | {"method": candidate}
        save_rows([about | vars(row) for row in rows], "desk", TABLE)
