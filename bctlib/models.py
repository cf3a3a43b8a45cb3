"""The paper's models as data: the lists below read like its Tables 1a, 3a and 4a."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from bctlib.base.errors import UsageError


@dataclass(frozen=True)
class ModelSpec:
    """One row of a training table.

    share: of the training identities. backbone: `base` or `deep`; each scale has a network for both (at paper scale
    ResNet-101 and ResNet-152). old: name of the model that it must be compatible with. options: lambda and switches.
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

# Also the settings of Table 7 that Table 3 lacks (25 % and 90 %), and 256 dimensions with the base network. As in the
# paper, the ReLU model has the deeper network, and the Norm-Softmax and SoftMax old models all of the data.
TABLE_3A = (
    ModelSpec("new-deep", backbone="deep", method="bct", old="old"),
    ModelSpec("new-256d", dim=256, method="bct", old="old"),
    ModelSpec("new-deep-256d", backbone="deep", dim=256, method="bct", old="old"),
    ModelSpec("new-256d-map", dim=256, method="bct-map", old="old"),
    ModelSpec("new-relu", backbone="deep", method="bct", old="old", relu=True),
    ModelSpec("old-ns", head="norm-softmax"),
    ModelSpec("new-from-ns", method="bct", old="old-ns"),
    ModelSpec("old-softmax", head="softmax"),
    ModelSpec("new-from-softmax", method="bct", old="old-softmax"),
    ModelSpec("old-25", share=0.25),
    ModelSpec("new-from-25", method="bct", old="old-25"),
    ModelSpec("old-90", share=0.9),
    ModelSpec("new-from-90", method="bct", old="old-90"),
)

# Three of these have the recipe of another row and are therefore the same trained model: phi1 is old-25, phi2* is old,
# phi3* is new*.
TABLE_4A = (
    ModelSpec("phi1", share=0.25),
    ModelSpec("phi2", share=0.5, method="bct", old="phi1"),
    ModelSpec("phi3", method="bct", old="phi2"),
    ModelSpec("phi2*", share=0.5),
    ModelSpec("phi3*"),
)

FOLLOW_UPS: tuple[ModelSpec, ...] = ()
"""Methods beyond the paper, a row each: `ModelSpec("new-NAME", method="NAME", old="old")` for a file of `methods`.

Tables 1, 2 and 8 and their figures show them beside the paper's methods, without a number from the paper.
"""
BASELINES = (*TABLE_1A, *FOLLOW_UPS)

AFTER_THE_PAPER = (
    ModelSpec("new-lce", method="lce", old="old"),
    ModelSpec("new-mixbct", method="mixbct", old="old"),
    ModelSpec("new-ract", method="ract", old="old"),
    ModelSpec("new-oca", dim=160, method="oca", old="old"),
    ModelSpec("new-advbct", method="advbct", old="old"),
)
"""Published follow-ups, trained as Table 1's models are, but in no table of the paper."""

REMEDIES = (ModelSpec("new-from-25-sys", method="bct-sys", old="old-25"),)
"""Beyond the paper: the old model of Table 7 on 25 % of the data, with the influence loss on every image."""

CHAIN_LENGTH = 6
LONG_CHAIN = tuple(
    ModelSpec(f"chain{i}", share=i / CHAIN_LENGTH, method="bct", old=f"chain{i - 1}")
    if i > 1
    else ModelSpec("chain1", share=1 / CHAIN_LENGTH)
    for i in range(1, CHAIN_LENGTH + 1)
)
"""Beyond the paper: six versions, each made compatible with the one before it."""

IDENTITY_SHARES = (0.105, 0.21, 0.42, 1.0)
"""Shares of the training identities: about 500, 1,000, 2,000 and all of the desk set's 4,755."""


def on_share(name: str, share: float) -> str:
    """The name of a model of Table 1a in the series that has that share of the identities: `new*-of-21%`."""
    return name if share == 1 else f"{name}-of-{100 * share:g}%"


def _series(share: float) -> tuple[ModelSpec, ...]:
    old = on_share("old", share)
    return (
        ModelSpec(old, share=share / 2),
        ModelSpec(on_share("new*", share), share=share),
        ModelSpec(on_share("new-bct", share), share=share, method="bct", old=old),
        ModelSpec(on_share("new-bct-sys", share), share=share, method="bct-sys", old=old),
    )


FEWER_IDENTITIES = tuple(spec for share in IDENTITY_SHARES[:-1] for spec in _series(share))
"""Beyond the paper: Table 1a on fewer identities. The old model has half of a series' identities, as in Table 1a.

With all identities the series is Table 1a itself. Half of 21 % is 10.5 %, half of 42 % is 21 %: `old-of-21%` has the
recipe of `new*-of-10.5%`, `old-of-42%` that of `new*-of-21%`.
"""

PARTS = (0.1, 0.2, 0.4)
"""Shares of the old classes, about as many classes as the old models of the series above have."""


def on_part(kind: str, part: float) -> str:
    """The name of a model whose influence loss takes a part of the old classes: `new-bct-rows-20%`."""
    return f"new-bct-{kind}-{100 * part:g}%"


PART_OF_OLD = tuple(
    ModelSpec(on_part(kind, part), method="bct", old="old", options={"part": part, **rows})
    for part in PARTS
    for kind, rows in (("images", {}), ("rows", {"part_rows": True}))
)
"""Beyond the paper: classes or images? Both models of a part see the same images in the influence loss.

`images`: against all rows of the old head. `rows`: against the rows of the part's own classes. They differ in nothing
but the number of old classes that compete.
"""

THIRD_VERSIONS = tuple(
    replace(spec, name=spec.name.replace("new-bct", "phi3").replace("new", "phi3"), old="phi2")
    for spec in (*TABLE_1A, *AFTER_THE_PAPER)
    if spec.method not in ("independent", "l2", "lwf", "bct")
)
"""Beyond the paper: Table 4a's third version by other methods, all against the same second one (`phi3-lce`)."""

MODELS = {
    spec.name: spec
    for spec in (
        *TABLE_1A, *TABLE_3A, *REMEDIES, *TABLE_4A, *LONG_CHAIN, *FEWER_IDENTITIES, *PART_OF_OLD,
        *AFTER_THE_PAPER, *FOLLOW_UPS, *THIRD_VERSIONS,
    )
}  # fmt: skip


def find_model(name: str) -> ModelSpec:
    """The model of that name; `new-l2@0.1` is `new-l2` with lambda 0.1, also for all older models of its chain.

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
    return replace(spec, name=name, old=with_lambda(spec.old, value), options={**spec.options, "lam": value})


def with_lambda(name: str, lam: float) -> str:
    """The model's name in a run at lambda `lam`: unchanged at 1, without a lambda, or if the name has a lambda."""
    return name if lam == 1 or "@" in name or find_model(name).old is None else f"{name}@{lam:g}"
