"""The ways to train a new model in view of an old one.

A method is one small class in one file of this package, entered in METHODS below; nothing else changes.
"""

import inspect

from bctlib.training.heads import distillation_loss, influence_loss
from bctlib.training.methods.base import Batch, Independent, Method, OldModel, Preparation
from bctlib.training.methods.distance import L2Distance
from bctlib.training.methods.forgetting import LearningWithoutForgetting
from bctlib.training.methods.influence import BCT, BCTDistilled, BCTSynthesised
from bctlib.training.methods.linear_map import BCTLinearMap

METHODS: dict[str, type[Method]] = {
    "independent": Independent,
    "l2": L2Distance,
    "lwf": LearningWithoutForgetting,
    "bct": BCT,
    "bct-kd": BCTDistilled,
    "bct-sys": BCTSynthesised,
    "bct-map": BCTLinearMap,
}

__all__ = [
    "METHODS", "Batch", "Method", "OldModel", "Preparation", "build_method", "distillation_loss", "influence_loss",
]  # fmt: skip


def build_method(name: str, **options: float) -> Method:
    """The named method with its options (`lam` and switches).

    Raises ValueError for an unknown method or option, naming those there are.
    """
    if name not in METHODS:
        raise ValueError(f"unknown method {name!r}: expected one of {', '.join(METHODS)}")
    known = list(inspect.signature(METHODS[name]).parameters)
    for option in options:
        if option not in known:
            raise ValueError(f"method {name!r} has no option {option!r}: it takes {', '.join(known) or 'none'}")
    return METHODS[name](**options)
