"""`list` and `plan`: all targets, what they cost, and which models the store has. Nothing is trained here."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from bctlib.base.errors import BctError
from bctlib.base.progress import clock
from bctlib.training.scales import SCALES
from companion.launcher.command_line import Job
from companion.launcher.side_by_side import duration_s, trainings, workers_for
from companion.launcher.targets import TARGETS, Target

if TYPE_CHECKING:
    from companion.measure.run import PlannedModel


def print_targets() -> None:
    """Print every target with its notebook, its part of the paper, and cost and models at each scale for one seed."""
    for target in TARGETS:
        print(f"{target.name:<12}{target.paper}")
        print(f"{'':<12}notebooks/{target.notebook}; gives {', '.join(target.yields)}")
        for scale in SCALES:
            print(f"{'':<12}{scale:<7}{_cost(target, scale)}")
        print()
    print("Costs are for one seed, training only: guesses for a core with bfloat16, or a GPU at gpu and paper scale.")
    print("`plan TARGET` lists the models to train, and measures how fast this machine trains.")


def _cost(target: Target, scale: str) -> str:
    """Guessed: `list` must be quick, and shows scales that this machine may never train."""
    from companion.measure.run import plan  # imports torch

    try:
        planned = plan(target.trained({}), scale, [0], target.task, measure=False)
    except BctError as error:
        return f"not here: {error}"
    models = {model.key: model for model in planned}.values()
    cached = sum(model.cached for model in models)
    if not models:
        return "some seconds; no models"
    total = clock(sum(model.estimated_s for model in models))
    return f"about {total} for {len(models)} models; {cached} already in the store"


def print_plan(job: Job, workers: int | None = None) -> None:
    """Print each model of the target: in the store, or to train, with the estimated time, and what this rests on."""
    models = _models([job])
    width = max((len(model.name) for model in models), default=0)
    print(f"{job.target.name} at {job.scale} scale, seeds {', '.join(map(str, job.seeds))}: {job.target.paper}")
    first: dict[str, PlannedModel] = {}
    for model in models:
        same = first.setdefault(model.key, model)
        state = _state(model, job) if same is model else f"the same model as {same.name}"
        print(f"  {model.name:<{width}}  seed {model.seed}  {state}")
    if note := basis_line([job]):
        print(note)
    print(summary([job], workers))


def _state(model: "PlannedModel", job: Job) -> str:
    if not _is_missing(model, job):
        return "in the store"
    return f"to train{' again' if model.cached else ''}, about {clock(model.estimated_s)}"


def _is_missing(model: "PlannedModel", job: Job) -> bool:
    return job.force or not model.cached


def _models(jobs: Sequence[Job]) -> list["PlannedModel"]:
    """What the jobs need, each once; of one command line, so that they share scale, seeds, device and `force`."""
    from companion.measure.run import plan

    first, needed = jobs[0], {}
    for job in jobs:
        needed.setdefault(job.target.task, []).extend(job.trained)
    device = first.parameters.get("device", "auto")
    plans = [plan(dict.fromkeys(names), first.scale, first.seeds, task, device) for task, names in needed.items()]
    return list(dict.fromkeys(model for models in plans for model in models))  # both tasks of glyphs use the same


def basis_line(jobs: Sequence[Job]) -> str:
    """One line on what the estimates rest on, which may take seconds to measure; "" where nothing is to be trained."""
    from companion.measure.run import basis

    missing = missing_models(jobs)
    return basis(missing, jobs[0].scale, jobs[0].target.task)


def missing_models(jobs: Sequence[Job]) -> list["PlannedModel"]:
    """What the jobs need and must train, each name once; an old model before those that need it."""
    return [model for model in _models(jobs) if _is_missing(model, jobs[0])]


def summary(jobs: Sequence[Job], workers: int | None = None) -> str:
    """One sentence: how many models the jobs need, each recipe counted once, and the estimated training time.

    workers: how many models train at once; None: as many as pay (`workers_for`).
    """
    needed, work = len({model.key for model in _models(jobs)}), trainings(missing_models(jobs))
    if not needed:
        return "no models are needed"
    if not work:
        return f"all {needed} models are in the store; nothing to train"
    at_once = workers_for(work, jobs[0].scale, str(jobs[0].parameters.get("device", "auto")), workers)
    beside = f", {at_once} side by side" if at_once > 1 else ""
    return f"{len(work)} of {needed} models to train, about {clock(duration_s(work, at_once))}{beside}"
