"""Experiments: train the missing models, measure every pair and save tidy rows.

Also plans: which models a target would train, and an estimate of the time this takes.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
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
from companion.measure.training_speed import ONE_GPU, Rate, guessed_rate, measured_rate
from companion.pairs import Pair
from companion.results import point_text, save_rows
from companion.workbench import Workbench, with_ancestors

VALIDATION = " (validation)"
"""Suffix of the protocol's name for measurements on validation identities."""


def run_experiment(
    table: str, benches: Iterable[Workbench], lam: float = 1.0, pairs: Sequence[Pair] | None = None
) -> None:  # fmt: skip
    """Measure all tables of the experiment that `table` belongs to, for each seed, and merge them into the results.

    lam: weight of the term that ties the new model to the old one, in every method that has such a term; models at a
    lambda other than 1 carry it in their name (`new-bct@0.5`). A seed's rows are saved as soon as they are complete. A
    new model that diverges is reported and omitted. pairs: of the experiment, under their plain names; only these and
    their models, by default all. Raises UsageError for an unknown table, and for a lambda other
    than 1 in an experiment that sets its own lambdas.
    """
    experiment = find_experiment(table)
    if lam != 1 and experiment.has_own_lambdas:
        raise UsageError(f"{table} has lambdas of its own, expected lam 1, got {lam}")
    for bench in (each.for_task(experiment.task) for each in benches):
        names = experiment.models_at(lam, pairs)
        diverged = train_missing(bench, names)
        measured = _measure(experiment, bench, lam, diverged, experiment.pairs if pairs is None else pairs)
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
    experiment: Experiment, bench: Workbench, lam: float, diverged: set[str], pairs: Sequence[Pair]
) -> dict[tuple[Pair, str], list[Measurement]]:
    """Every measure of every pair, computed once even if several tables show it."""
    parts = sorted({part for table in experiment.tables for part in find_table(table).parts})
    trained = [pair for pair in pairs if not diverged & {with_lambda(name, lam) for name in pair}]
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


@dataclass(frozen=True)
class PlannedModel:
    """A model of a target: whether the store holds it, and how much training it is.

    key: of its recipe, which another name may share (`old-of-21%` is `new*-of-10.5%`); where the data are missing,
    name and seed. images: in all epochs, times the cost of the method. rate: looked up when the time is asked for,
    because that may take seconds.
    """

    name: str
    seed: int
    key: str
    cached: bool
    images: float
    rate: Callable[[], Rate] = field(compare=False, repr=False)

    @property
    def estimated_s(self) -> float:
        """Seconds of training."""
        return self.images / self.rate().images_per_s


def plan(
    models: Iterable[str], scale: str, seeds: Iterable[int], task: str = "faces", device: str = "auto",
    measure: bool = True,
) -> list[PlannedModel]:  # fmt: skip
    """The named models and the old models they need; an old model comes before the models that need it.

    task: "faces" or "persons", which matters at paper scale. device: that would train. measure: whether times rest on
    rates measured here (`measured_rate`) or guessed. Raises UsageError for an unknown model or scale. The data may be
    missing: the estimate then uses published counts, and for glyphs the list of typefaces.
    """
    names = list(with_ancestors(tuple(models)))
    benches = [Workbench(scale, seed, "cpu", task=task) for seed in seeds]
    return [_planned(bench, name, device, measure) for bench in benches for name in names]


def _planned(bench: Workbench, name: str, device: str, measure: bool) -> PlannedModel:
    spec, settings = find_model(name), bench.settings
    images = bench.data.n_images(spec.share) * settings.schedule.epochs * METHODS[spec.method].cost
    recipe = bench.recipe(name) if bench.data.is_here else None
    key, cached = (recipe.key, store.is_trained(recipe)) if recipe else (f"{name} seed {bench.seed}", False)
    rate = partial(measured_rate if measure else guessed_rate, bench.data, settings.backbones[spec.backbone], device)
    return PlannedModel(name, bench.seed, key, cached, images, rate)


def basis(models: Iterable[PlannedModel], scale: str, task: str = "faces") -> str:
    """One line on what the estimates for these models rest on; "" for no models."""
    rates = list(dict.fromkeys(model.rate() for model in models))
    if not rates:
        return ""
    data = Workbench(scale, device="cpu", task=task).data
    measured, guesses = ([rate for rate in rates if rate.measured is kind] for kind in (True, False))
    parts = []
    if measured:
        parts.append(f"measured just now: {' and '.join(map(str, measured))}")
        if busy := [rate for rate in measured if rate.is_busy]:
            share = 100 * min(rate.core_share for rate in busy)
            alone = " and ".join(f"{rate.images_per_s / rate.core_share:,.0f}" for rate in busy)
            parts.append(f"the machine is busy: this had {share:.0f} % of a core, with a whole one {alone}")
        parts += ["files were not read for it"] if data.settings.source.kind != "glyphs" else []
    if guesses:
        parts.append(f"{' and '.join(map(str, guesses))}: guesses, not measured")
        if not torch.cuda.is_available():
            for_gpu = any(rate.where == ONE_GPU for rate in guesses)
            parts.append(f"no GPU was found{': without one it takes far longer' if for_gpu else ''}")
    return "; ".join([*parts, f"{data.n_images(1):,.0f} images ({data.counted})"])


def require_data(tables: Iterable[str], scale: str, task: str = "faces") -> None:
    """Check that everything that training and measuring these tables will read is available.

    Raises UsageError that says what to provide, and for a table that these data cannot produce.
    """
    data = Workbench(scale, device="cpu", task=task).data
    for table in tables:
        if missing := set(find_table(table).parts) - set(data.parts):
            raise UsageError(f"{table} cannot be made at {scale} scale: its data have no {missing.pop()} identities")
    data.require()
