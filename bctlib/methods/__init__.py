"""The methods that train a new model against an old one, by name.

`base` defines what a method is, `paper` holds those of the paper. A new method is one file in this package with a
subclass of Method that has a `name`; it is found here by that name. A row in FOLLOW_UPS of `bctlib.models` adds it to
tables, figures, estimates and benchmarks. `losses.py` and this package need torch and NumPy only and can be copied.
"""

import importlib
import inspect
import pkgutil

from ..losses import distillation_loss, influence_loss
from .base import Batch, Method, OldModel, Preparation

_PAPER = ("independent", "l2", "lwf", "bct", "bct-kd", "bct-sys", "bct-map")


def _found() -> dict[str, type[Method]]:
    """Every class with its own `name` in the modules of this package: the paper's first, then the others by name."""
    found: dict[str, type[Method]] = {}
    for module in pkgutil.iter_modules(__path__, f"{__name__}."):
        classes = [each for each in vars(importlib.import_module(module.name)).values() if isinstance(each, type)]
        for each in (each for each in classes if issubclass(each, Method) and "name" in vars(each)):
            other = found.setdefault(each.name, each)
            if other is not each:  # not the same class imported by a second module
                places = f"{other.__module__}.{other.__name__} and {each.__module__}.{each.__name__}"
                raise ValueError(f"two methods are called {each.name!r}, {places}: expected different names")
    return {name: found[name] for name in [*_PAPER, *sorted(found.keys() - {*_PAPER})]}


METHODS: dict[str, type[Method]] = _found()
"""Every method by its name."""

__all__ = [
    "METHODS", "Batch", "Method", "OldModel", "Preparation", "build_method", "distillation_loss", "influence_loss",
]  # fmt: skip


def build_method(name: str, **options: float) -> Method:
    """The named method with its options (`lam` and switches).

    Raises ValueError for an unknown method or option, listing the known ones.
    """
    if name not in METHODS:
        raise ValueError(f"unknown method {name!r}: expected one of {', '.join(METHODS)}")
    known = list(inspect.signature(METHODS[name]).parameters)
    for option in options:
        if option not in known:
            raise ValueError(f"method {name!r} has no option {option!r}: it takes {', '.join(known) or 'none'}")
    return METHODS[name](**options)
