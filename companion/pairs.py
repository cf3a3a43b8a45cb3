"""Pairs of models that the tables compare, as data.

A pair is (query model, gallery model): the first embeds first templates and probes, the second second templates and
galleries (paper Sec. 3.3).
"""

from collections.abc import Iterable

from bctlib.models import (
    AFTER_THE_PAPER,
    BASELINES,
    IDENTITY_SHARES,
    LONG_CHAIN,
    PART_OF_OLD,
    THIRD_VERSIONS,
    on_share,
    with_lambda,
)

Pair = tuple[str, str]

LOWER_BOUND: Pair = ("old", "old")
PARAGON: Pair = ("new*", "new*")
BASELINE_PAIRS: tuple[Pair, ...] = (*((spec.name, "old") for spec in BASELINES), PARAGON)
"""Table 1: every model of Table 1a, and every method beyond the paper, against the old gallery."""
_NOT_IN_TABLE_2 = ("new-l2", "new-lwf")
OWN_PAIRS: tuple[Pair, ...] = (
    LOWER_BOUND,
    *((spec.name, spec.name) for spec in BASELINES if spec.old and spec.name not in _NOT_IN_TABLE_2),
    PARAGON,
)

FILTER_PAIRS: tuple[Pair, ...] = tuple((name, "old") for name in ("new-bct", "new-bct-kd", "new-bct-sys"))
"""Models bound by BCT, whose queries are filtered before they search the old gallery (ours)."""

MAP_PAIRS: tuple[Pair, ...] = (
    LOWER_BOUND,
    *((name, "old") for name in ("new*", "new-bct", "new-bct-kd", "new-bct-sys")),
)
"""New models whose queries are mapped into the old space: one that was trained without it, and compatible ones."""

DIMENSION_PAIRS: tuple[Pair, ...] = (("new-256d", "old"), ("new-256d-map", "old"))
"""256 dimensions on the unchanged network, by the prefix and by the linear map that the paper tried in vain."""
ROBUSTNESS_PAIRS: tuple[Pair, ...] = (
    LOWER_BOUND,
    ("new-deep", "old"),
    ("new-deep-256d", "old"),
    *DIMENSION_PAIRS,
    ("new-relu", "old"),
    ("old-ns", "old-ns"),
    ("new-from-ns", "old-ns"),
    ("old-softmax", "old-softmax"),
    ("new-from-softmax", "old-softmax"),
    PARAGON,
)
SHARE_PAIRS: tuple[Pair, ...] = (
    ("old-25", "old-25"),
    ("new-from-25", "old-25"),
    ("old-90", "old-90"),
    ("new-from-90", "old-90"),
)
ROBUSTNESS_OWN_PAIRS: tuple[Pair, ...] = tuple(
    (name, name)
    for name in (
        "old", "new-bct", "new-deep", "new-deep-256d", "new-256d", "new-256d-map", "new-relu", "new-from-ns",
        "new-from-softmax", "new-from-25", "new-from-90", "new*",
    )
)  # fmt: skip

STRONGER_PAIRS: tuple[Pair, ...] = (
    LOWER_BOUND,
    ("new-bct@10", "old"),
    ("new-bct@10", "new-bct@10"),
    ("old-ns", "old-ns"),
    ("new-from-ns@10", "old-ns"),
    ("new-from-ns@10", "new-from-ns@10"),
    ("old-25", "old-25"),
    ("new-from-25@10", "old-25"),
    ("new-from-25@10", "new-from-25@10"),
    ("new-from-25-sys", "old-25"),
    ("new-from-25-sys", "new-from-25-sys"),
    ("phi2@10", "phi1"),
    ("phi3@10", "phi1"),
    ("phi2@10", "phi2@10"),
    ("phi3@10", "phi2@10"),
    ("phi3@10", "phi3@10"),
    PARAGON,
)
"""Where BCT fails Eq. 2 at lambda 1 and the paper's holds: at lambda 10, or bound on every image (sys).

(old-25, old-25) is (phi1, phi1).
"""

IDENTITY_PAIRS: tuple[Pair, ...] = (
    *(
        (on_share(query, share), on_share(gallery, share))
        for share in IDENTITY_SHARES
        for query, gallery in (LOWER_BOUND, ("new-bct", "old"), ("new-bct-sys", "old"), PARAGON)
    ),
    *((spec.name, "old") for spec in PART_OF_OLD),
)
"""Table 1 with fewer identities, and models that are bound to a part of the old classes."""
IDENTITY_PARAGONS = {
    on_share(query, share): on_share("new*", share) for share in IDENTITY_SHARES for query in ("new-bct", "new-bct-sys")
}
"""The paragon of a model is the independent model on the same identities."""

CHAIN_PAIRS: tuple[Pair, ...] = (
    ("phi1", "phi1"),
    ("phi2", "phi1"),
    ("phi3", "phi1"),
    ("phi2", "phi2"),
    ("phi3", "phi2"),
    ("phi3", "phi3"),
)
CHAIN_FILTER_PAIRS: tuple[Pair, ...] = (("phi2", "phi1"), ("phi3", "phi1"), ("phi3", "phi2"))
CHAIN_PARAGONS: tuple[Pair, ...] = (("phi2*", "phi2*"), ("phi3*", "phi3*"))
CHAIN_MATRIX: tuple[Pair, ...] = tuple(
    (query, gallery) for query in ("phi1", "phi2", "phi3") for gallery in ("phi1", "phi2", "phi3")
)
LONG_CHAIN_MATRIX: tuple[Pair, ...] = tuple(
    (query.name, gallery.name) for query in LONG_CHAIN for gallery in LONG_CHAIN
)

REID_PAIRS: tuple[Pair, ...] = (
    LOWER_BOUND,
    ("old", "new*"),
    ("old", "new-bct"),
    ("new*", "old"),
    ("new-bct", "old"),
    ("new-bct", "new-bct"),
    PARAGON,
)
"""The paper prints (old, new), here the query is embedded by the old model; (new, old) is the direction of Table 1."""

BACKFILL_PAIRS: tuple[Pair, ...] = (
    LOWER_BOUND,
    ("new-bct", "old"),
    ("new-bct-sys", "old"),
    ("new*", "old"),
    PARAGON,
)
"""The gallery of the second model is backfilled by the first; the independent model shows what not to do meanwhile."""
MERGE_PAIRS: tuple[Pair, ...] = (LOWER_BOUND, ("new-bct", "old"), ("new-bct-sys", "old"), ("new*", "old"), PARAGON)
"""Practices while the gallery is backfilled: one index by compatible models, and merging for the independent one."""
BACKFILL_ORDER_PAIRS: tuple[Pair, ...] = (LOWER_BOUND, ("new-bct", "old"), ("new-bct-sys", "old"), PARAGON)

UPGRADE_PAIRS: tuple[Pair, ...] = (("new-bct-sys", "old"), ("new-deep-256d", "old"), ("new*", "old"))
"""(new model, old model): two that are compatible, one of them wider, and one that is not."""

LAMBDAS = ("0.1", "0.3", "1", "3", "10")
"""Weights of the term that binds new to old, for the comparison of own and cross accuracy."""


def _at(model: str, lam: str) -> str:
    return model if lam == "1" else f"{model}@{lam}"


TRADEOFF_MODELS: tuple[str, ...] = tuple(_at(model, lam) for model in ("new-l2", "new-bct") for lam in LAMBDAS)
TRADEOFF_PAIRS: tuple[Pair, ...] = (
    LOWER_BOUND,
    PARAGON,
    *((model, gallery) for model in TRADEOFF_MODELS for gallery in ("old", model)),
)

LATER_METHODS: tuple[str, ...] = tuple(spec.name for spec in AFTER_THE_PAPER)
METHODS_OF_THE_PAPER = ("new-l2", "new-lwf", "new-bct", "new-bct-kd", "new-bct-sys")
FOLLOW_UP_PAIRS: tuple[Pair, ...] = (
    LOWER_BOUND,
    *((name, gallery) for name in (*METHODS_OF_THE_PAPER, *LATER_METHODS) for gallery in ("old", name)),
    PARAGON,
)
"""Methods of the paper and after it, each against the old gallery and with its own."""
FOLLOW_UP_WEIGHTS: tuple[Pair, ...] = tuple(
    (_at(name, lam), gallery or _at(name, lam))
    for name in LATER_METHODS
    for lam in ("0.3", "1", "3")
    for gallery in ("old", "")
)
"""The same over the weight of what binds new to old."""
GRANDPARENT_PAIRS: tuple[Pair, ...] = (
    ("phi1", "phi1"),
    *((name, gallery) for name in ("phi3", *(spec.name for spec in THIRD_VERSIONS)) for gallery in ("phi2", "phi1")),
    ("phi2", "phi2"),
)
"""Third versions by every method, against the version that they are trained for and the one before it."""


def pairs_at(pairs: Iterable[Pair], lam: float) -> tuple[Pair, ...]:
    """The pairs by the names that their models have in a run at this lambda."""
    return tuple((with_lambda(query, lam), with_lambda(gallery, lam)) for query, gallery in pairs)
