"""`list` and `plan`: what can be made, what it costs and what the store already holds. Nothing is trained here."""

from collections.abc import Sequence

from bctlib.errors import BctError
from bctlib.launcher.targets import TARGETS, Target
from bctlib.progress import clock
from bctlib.scales import SCALES


def print_targets() -> None:
    """Every target with its notebook, what of the paper it is, and cost and store at each scale for one seed."""
    for target in TARGETS:
        print(f"{target.name:<10}{target.paper}")
        print(f"{'':<10}notebooks/{target.notebook}; gives {', '.join(target.yields)}")
        for scale in SCALES:
            print(f"{'':<10}{scale:<7}{_cost(target, scale)}")
        print()
    print("Costs are for one seed, training only. `plan TARGET` says what would be trained.")


def _cost(target: Target, scale: str) -> str:
    from bctlib.experiments.plans import plan  # imports torch

    try:
        models = plan(target.trained, scale, [0], target.task)
    except BctError as error:
        return f"not here: {error}"
    cached = sum(model.cached for model in models)
    if not models:
        return "some seconds; no models"
    total = clock(sum(model.estimated_s for model in models))
    return f"about {total} for {len(models)} models; {cached} already in the store"


def print_plan(target: Target, scale: str, seeds: list[int]) -> None:
    """Each model of the target: in the store, or to be trained in about so long."""
    from bctlib.experiments.plans import basis, plan

    models = plan(target.trained, scale, seeds, target.task)
    width = max((len(model.name) for model in models), default=0)
    print(f"{target.name} at {scale} scale, seeds {', '.join(map(str, seeds))}: {target.paper}")
    for model in models:
        state = "in the store" if model.cached else f"to train, about {clock(model.estimated_s)}"
        print(f"  {model.name:<{width}}  seed {model.seed}  {state}")
    print(summary([target], scale, seeds))
    if models and (note := basis(scale, target.task)):
        print(note)


def summary(targets: Sequence[Target], scale: str, seeds: list[int]) -> str:
    """One sentence: how many models the targets need together, each counted once, and how long training should take."""
    from bctlib.experiments.plans import plan

    needed: dict[str, list[str]] = {}
    for target in targets:
        needed.setdefault(target.task, []).extend(target.trained)
    plans = [plan(dict.fromkeys(names), scale, seeds, task) for task, names in needed.items()]
    models = dict.fromkeys(model for models in plans for model in models)  # of glyphs, both tasks have the same ones
    missing = [model for model in models if not model.cached]
    if not models:
        return "no models are needed"
    if not missing:
        return f"all {len(models)} models are in the store; nothing to train"
    estimate = clock(sum(model.estimated_s for model in missing))
    return f"{len(missing)} of {len(models)} models to train, about {estimate}"
