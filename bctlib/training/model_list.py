"""The paper's models as data: the lists below read like its Tables 1a, 3a and 4a."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from bctlib.errors import UsageError


@dataclass(frozen=True)
class ModelSpec:
    """One row of a training table.

    share: of the training identities. backbone: `base` or `deep`, which each scale makes a network of (at paper scale
    ResNet-101 and ResNet-152). old: name of the model it is made compatible with. options: lambda and switches.
    """

    name: str
    share: float = 1.0
    backbone: str = "base"
    dim: int = 128
    head: str = "cosine-margin"
    method: str = "independent"
    old: str | None = None
    relu: bool = False
    options: Mapping[str, Any] = field(default_factory=dict)


TABLE_1A = (
    ModelSpec("old", share=0.5),
    ModelSpec("new*"),
    ModelSpec("new-l2", method="l2", old="old"),
    ModelSpec("new-lwf", method="lwf", old="old"),
    ModelSpec("new-bct", method="bct", old="old"),
    ModelSpec("new-bct-kd", method="bct-kd", old="old"),
    ModelSpec("new-bct-sys", method="bct-sys", old="old"),
)

MODELS = {spec.name: spec for spec in (*TABLE_1A,)}


def find_model(name: str) -> ModelSpec:
    """The model of that name; `new-l2@0.1` is `new-l2` with lambda 0.1.

    Raises UsageError for an unknown name, or a lambda for a model whose method has none.
    """
    plain, at, lam = name.partition("@")
    if plain not in MODELS:
        raise UsageError(f"unknown model {name!r}: expected one of {', '.join(MODELS)}")
    spec = MODELS[plain]
    if not at:
        return spec
    if spec.old is None:
        raise UsageError(f"model {name!r}: {plain} is trained without an old model and has no lambda")
    try:
        value = float(lam)
    except ValueError:
        value = math.nan
    if not 0 <= value < math.inf:
        raise UsageError(f"model {name!r}: expected a number of 0 or more after @, found {lam!r}")
    return replace(spec, name=name, options={**spec.options, "lam": value})


def with_lambda(name: str, lam: float) -> str:
    """The model's name in a run at lambda `lam`: the plain name at 1, and where it has no lambda or names its own."""
    return name if lam == 1 or "@" in name or find_model(name).old is None else f"{name}@{lam:g}"
