"""Runs experiments: trains what is missing, measures every pair, saves tidy rows."""

from collections.abc import Iterable, Iterator

from bctlib.base import progress
from bctlib.base.errors import Diverged, UsageError
from companion.measure.templates import Measurement
from companion.measure.measures import MEASURES
from companion.pairs import Pair
from companion.results import point_text, save_rows
from companion.experiments import Experiment, find_experiment, find_table
from companion.workbench import Workbench, with_ancestors
from bctlib.models import find_model, with_lambda

VALIDATION = " (validation)"
"""Ends the protocol's name where it was measured on validation identities."""


def run_experiment(table: str, benches: Iterable[Workbench], lam: float = 1.0) -> None:
    """Measure all tables of the experiment that `table` belongs to, for each seed, and merge them into the results.

    lam: weight of the term that binds new to old in every method that has one; models at another lambda than 1 carry
    it in their name (`new-bct@0.5`). A seed's rows are saved as soon as the seed is done. A new model whose training
    diverges is said and left out. Raises UsageError for an unknown table, and for another lambda in an experiment over
    several.
    """
    experiment = find_experiment(table)
    if lam != 1 and experiment.has_own_lambdas:
        raise UsageError(f"{table} has lambdas of its own, expected lam 1, got {lam}")
    for bench in (each.for_task(experiment.task) for each in benches):
        diverged = train_missing(bench, experiment.models_at(lam))
        measured = _measure(experiment, bench, lam, diverged)
        for each in experiment.tables:
            save_rows(_rows(each, bench, measured, lam), bench.scale, each)


def train_missing(bench: Workbench, names: tuple[str, ...]) -> set[str]:
    """Train what is missing; the names of those new models whose loss left the numbers, which the tables go without."""
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
    """Every measure of every pair, once however many tables show it."""
    parts = sorted({part for table in experiment.tables for part in find_table(table).parts})
    trained = [pair for pair in experiment.pairs if not diverged & {with_lambda(name, lam) for name in pair}]
    wanted = [(pair, part) for pair in trained for part in parts]
    measure, measured = MEASURES[experiment.measure], {}
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
