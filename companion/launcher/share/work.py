"""Does as much of some tables as a deadline allows, so that the next call goes on, even on another machine.

Models are trained one after the other, and as soon as one is there every pair that it completes is measured and its
rows are saved. What rows say is not done again: neither the measuring nor, in an empty store, the training. In a store
that was kept, a training that the deadline stopped resumes from its checkpoint.
"""

from collections.abc import Iterable, Sequence

from bctlib.base import deadline, progress
from bctlib.base.errors import Diverged
from bctlib.models import find_model
from bctlib.training import store
from bctlib.training.devices import training_provenance
from companion.experiments import Experiment, find_experiment, find_table
from companion.launcher.share.speed import diverged_models, save_divergence, save_speed
from companion.measure.run import run_experiment
from companion.pairs import Pair
from companion.results import rows_of
from companion.workbench import Workbench, with_ancestors

Work = tuple[Experiment, Workbench]


def do_share(tables: Sequence[str], benches: Iterable[Workbench]) -> None:
    """Measure every pair of the tables' experiments that lacks rows of its seed and device, seed by seed.

    Raises OutOfTime with what remains when the deadline (`bctlib.base.deadline`) has passed, otherwise as
    `companion.measure.run.run_experiment` does.
    """
    experiments = list(dict.fromkeys(find_experiment(table) for table in tables))
    work = [(each, bench.for_task(each.task)) for bench in benches for each in experiments]
    for place, (experiment, bench) in enumerate(work):
        try:
            _do(experiment, bench)
        except deadline.OutOfTime as stopped:
            raise deadline.OutOfTime(f"{stopped}; {_remaining(work[place:])}; the same command goes on") from None


def pairs_left(experiment: Experiment, bench: Workbench) -> list[Pair]:
    """The pairs that a table of the experiment has no rows of, measured in this device's arithmetic.

    Without those of a model that diverged.
    """
    device, gone = training_provenance(bench.on)["device"], diverged_models(bench)
    left: set[Pair] = set()
    for table in experiment.tables:
        rows = rows_of(bench.scale, table, device)
        rows = rows[rows["seed"] == bench.seed]
        left |= set(find_table(table).pairs) - set(zip(rows["query_model"], rows["gallery_model"], strict=True))
    return [pair for pair in experiment.pairs if pair in left and not gone & {*with_ancestors(pair)}]


def _do(experiment: Experiment, bench: Workbench) -> None:
    left, trained = pairs_left(experiment, bench), set()
    for name in with_ancestors(experiment.models_at(1.0, left)):
        if deadline.passed():
            raise deadline.OutOfTime("time is over")
        if not {name, find_model(name).old} <= trained | {name, None} or not _train(bench, name):
            continue  # it diverged, or what it would be trained against did
        trained.add(name)
        ready = [pair for pair in left if trained.issuperset(pair) and name in pair]
        if ready:
            run_experiment(experiment.tables[0], [bench], pairs=ready)
            progress.say(
                f"{name} seed {bench.seed}: measured for {experiment.tables[0]}, with {len(ready)} of its pairs"
            )


def _train(bench: Workbench, name: str) -> bool:
    """Whether the model is there, from the store or trained now; its speed is saved where it was trained now."""
    found = store.is_trained(bench.recipe(name))
    try:
        bench.model(name)
    except Diverged as error:
        if find_model(name).old is None:
            raise
        progress.say(f"{error}; the tables have no numbers for {name}")
        save_divergence(bench, name)
        return False
    if not found:
        save_speed(bench, name)
    return True


def _remaining(work: Sequence[Work]) -> str:
    """`4 of 21 pairs of table1 seed 2 remain, 27 of 27 of table3 seed 2`."""
    counts = [(len(pairs_left(experiment, bench)), experiment, bench) for experiment, bench in work]
    left = [
        f"{count} of {len(experiment.pairs)} pairs of {experiment.tables[0]} seed {bench.seed}"
        for count, experiment, bench in counts
        if count
    ]
    return f"there remain {', '.join(left)}"
