"""Experiments: train the missing models, measure every pair and save tidy rows.

Also plans: which models a target would train, and an estimate of the time this takes.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pkgutil import resolve_name

import torch

from bctlib.base import progress
from bctlib.base.errors import Diverged, UsageError
from bctlib.methods import METHODS
from bctlib.models import find_model, with_lambda
from bctlib.training import store
from companion.experiments import Experiment, find_experiment, find_table
from companion.measure.diagnostics import save_diagnostics
from companion.measure.templates import Measurement
from companion.pairs import Pair
from companion.results import point_text, save_rows
from companion.workbench import Workbench, with_ancestors

VALIDATION = " (validation)"
"""Suffix of the protocol's name for measurements on validation identities."""


def run_experiment(table: str, benches: Iterable[Workbench], lam: float = 1.0) -> None:
    """Measure all tables of the experiment that `table` belongs to, for each seed, and merge them into the results.

    lam: weight of the term that ties the new model to the old one, in every method that has such a term; models at a
    lambda other than 1 carry it in their name (`new-bct@0.5`). A seed's rows are saved as soon as they are complete. A
    new model that diverges is reported and omitted. Raises UsageError for an unknown table, and for a lambda other
    than 1 in an experiment that sets its own lambdas.
    """
    experiment = find_experiment(table)
    if lam != 1 and experiment.has_own_lambdas:
        raise UsageError(f"{table} has lambdas of its own, expected lam 1, got {lam}")
    for bench in (each.for_task(experiment.task) for each in benches):
        names = experiment.models_at(lam)
        diverged = train_missing(bench, names)
        measured = _measure(experiment, bench, lam, diverged)
        for each in experiment.tables:
            save_rows(_rows(each, bench, measured, lam), bench.scale, each)
        save_diagnostics(bench, [name for name in names if name not in diverged])


def train_missing(bench: Workbench, names: tuple[str, ...]) -> set[str]:
    """Train the missing models. Returns the names of the new models that diverged; tables omit them."""
    diverged = set()
    for name in with_ancestors(names):
        try:
            bench.model(name)
        except Diverged as error:
            if find_model(name).old is None:
                raise
            progress.say(f"{error}; the tables have no numbers for {name}")
            diverged.add(name)
    return diverged


def _measure(
    experiment: Experiment, bench: Workbench, lam: float, diverged: set[str]
) -> dict[tuple[Pair, str], list[Measurement]]:
    """Every measure of every pair, computed once even if several tables show it."""
    parts = sorted({part for table in experiment.tables for part in find_table(table).parts})
    trained = [pair for pair in experiment.pairs if not diverged & {with_lambda(name, lam) for name in pair}]
    wanted = [(pair, part) for pair in trained for part in parts]
    measure, measured = resolve_name(experiment.measure), {}
    with progress.task(f"measures seed {bench.seed}", total=len(wanted), unit="pair") as task:
        for done, (pair, part) in enumerate(wanted, 1):
            query, gallery = (with_lambda(name, lam) for name in pair)
            measured[pair, part] = measure(bench, query, gallery, part)
            task.step(done, pair=f"({query}, {gallery})")
    return measured


def _rows(table: str, bench: Workbench, measured: dict, lam: float) -> Iterator[dict]:
    spec = find_table(table)
    for pair in spec.pairs:
        if not any(pair == each for each, _ in measured):
            continue
        query, gallery = (with_lambda(name, lam) for name in pair)
        about = bench.about(query, gallery)
        for part in spec.parts:
            for each in measured[pair, part]:
                if point_text(each.operating_point) in spec.points.get(each.metric, ()):
                    yield about | {
                        "protocol": each.protocol + (VALIDATION if part == "validation" else ""),
                        "metric": each.metric, "operating_point": each.operating_point,
                        "value": each.value, "n_behind": each.n_behind,
                    }  # fmt: skip


# Training images per second: measured on 2 cores of a 2023 server CPU with bfloat16 for the glyph nets; for the
# ResNets a guess for one recent GPU at 112 x 112, because these scales have not been run on a GPU yet.
IMAGES_PER_S = {
    "glyphnet": 4300, "glyphnet-deep": 2600, "glyphnet-norm": 4300, "glyphnet-deep-norm": 2600,
    "rehearsal-net": 4300, "rehearsal-net-deep": 2600,
    "resnet18": 12000, "resnet50": 4000, "resnet101": 2000, "resnet152": 1400,
}  # fmt: skip


@dataclass(frozen=True)
class PlannedModel:
    """A model of a target: whether the store holds it, and seconds of training if not."""

    name: str
    seed: int
    cached: bool
    estimated_s: float


def plan(models: Iterable[str], scale: str, seeds: Iterable[int], task: str = "faces") -> list[PlannedModel]:
    """The named models and the old models they need; an old model comes before the models that need it.

    task: "faces" or "persons", which matters at paper scale. Raises UsageError for an unknown model or scale. The data
    may be missing: the estimate then uses published counts, and for glyphs the list of typefaces.
    """
    names = list(with_ancestors(tuple(models)))
    return [_planned(Workbench(scale, seed, "cpu", task=task), name) for seed in seeds for name in names]


def _planned(bench: Workbench, name: str) -> PlannedModel:
    spec, settings = find_model(name), bench.settings
    images = bench.data.n_images(spec.share) * settings.schedule.epochs * bench.data.image_cost
    seconds = images / IMAGES_PER_S[settings.backbones[spec.backbone]] * METHODS[spec.method].cost
    cached = bench.data.is_here and store.is_trained(bench.recipe(name))
    return PlannedModel(name, bench.seed, cached, seconds)


def basis(scale: str, task: str = "faces") -> str:
    """A sentence on the basis of the estimates at this scale; "" where the rates were measured."""
    bench = Workbench(scale, device="cpu", task=task)
    networks = dict.fromkeys(bench.settings.backbones.values())
    if not any(name.startswith("resnet") for name in networks):
        return ""
    rates = " and ".join(f"{IMAGES_PER_S[name] / bench.data.image_cost:,.0f} images/s for {name}" for name in networks)
    n_images = f"{bench.data.n_images(1):,.0f} images ({bench.data.counted})"
    note = f"estimates are for one GPU: {rates} are guesses, not measured; {n_images}"
    return note if torch.cuda.is_available() else f"{note}; no GPU was found: without one it takes far longer"


def require_data(tables: Iterable[str], scale: str, task: str = "faces") -> None:
    """Check that everything that training and measuring these tables will read is available.

    Raises UsageError that says what to provide, and for a table that these data cannot produce.
    """
    data = Workbench(scale, device="cpu", task=task).data
    for table in tables:
        if missing := set(find_table(table).parts) - set(data.parts):
            raise UsageError(f"{table} cannot be made at {scale} scale: its data have no {missing.pop()} identities")
    data.require()
