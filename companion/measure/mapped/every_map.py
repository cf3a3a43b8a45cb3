"""Maps of frozen models: a new model's queries led into the old space, without and on top of compatible training.

Maps are those of `bctlib.upgrade.align`. They are fitted to distorted images of training identities, their strength is
chosen on validation identities by open-set accuracy, and they are judged on test identities. Not in the paper.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import torch

from bctlib.base.errors import UsageError
from bctlib.base.share import Share
from bctlib.training.features import stored_features
from bctlib.upgrade.align import Map, fit
from bctlib.upgrade.align.kinds import FILTER, KINDS, MIDPOINT, SPAN_FILTER
from companion.measure.mapped.query_filter import criterion
from companion.measure.templates import Measurement, identification, verification
from companion.workbench import Workbench

FITTED = 20_000
"""Distorted training images that a map is fitted to, where there are as many."""
COUNTS = (128, 500, 2_000, 10_000)
"""Numbers of pairs of the curve of CURVE, beside FITTED."""
WEIGHTED, WEIGHTS = "midpoint, best weight", tuple(tenth / 10 for tenth in range(1, 10))
"""The midpoint with the weight of the mapped query chosen as strengths are, instead of a half."""
MAPS = (*KINDS, SPAN_FILTER, MIDPOINT, WEIGHTED)
CURVE = "ridge"
MAP, STRENGTH = "map", "strength"
"""Protocol and metric of the strength that was chosen; the operating point is the kind. NaN: infinite."""


def mapped(kind: str, pairs: int | None = None) -> str:
    """Suffix of a protocol's name for queries mapped by that kind, fitted to that number of pairs (None: to all)."""
    return f", {kind}" if pairs is None else f", {kind} of {pairs} pairs"


def compare_maps(bench: Workbench, query: str, gallery: str, part: str = "test") -> list[Measurement]:
    """Accuracies of (query model, gallery model) as it is and with the queries mapped by each kind of MAPS.

    Images are mapped one by one, before templates are averaged; a model's own queries are not mapped. Also CURVE fitted
    to each number of COUNTS. Raises BctError if the gallery model comes without its head, which the span filter needs,
    and UsageError where there are no validation identities.
    """
    if "validation" not in bench.data.parts:
        raise UsageError(f"maps cannot be made at {bench.scale} scale: its data have no validation identities")
    rows = _measured(bench, query, gallery, None, "", part)
    if query == gallery:
        return rows
    z, o = (training_features(bench, name) for name in (query, gallery))
    for kind in (kind for kind in MAPS if kind != WEIGHTED):
        make = partial(_fit, bench, query, gallery, kind, z, o)
        strength = _best(bench, query, gallery, kind, make)
        made = make(strength)
        rows += _measured(bench, query, gallery, made, mapped(kind), part)
        if strength is not None:
            rows.append(Measurement(MAP, STRENGTH, kind, math.nan if math.isinf(strength) else strength, len(z)))
    on_validation = partial(_on_validation, bench, query, gallery)  # `made` is the midpoint, the last of MAPS but one
    weighted = max((replace(made, weight=weight) for weight in WEIGHTS), key=on_validation)
    rows += _measured(bench, query, gallery, weighted, mapped(WEIGHTED), part)
    rows.append(Measurement(MAP, STRENGTH, WEIGHTED, weighted.weight, len(z)))
    for n in (n for n in COUNTS if n < len(z)):
        make = partial(_fit, bench, query, gallery, CURVE, z[:n], o[:n])
        rows += _measured(
            bench, query, gallery, make(_best(bench, query, gallery, CURVE, make)), mapped(CURVE, n), part
        )
    return rows


def best_map(bench: Workbench, query: str, gallery: str, kind: str = CURVE) -> Map:
    """The map of that kind (not WEIGHTED) of all pairs, with the strength that is best on validation identities."""
    z, o = (training_features(bench, name) for name in (query, gallery))
    make = partial(_fit, bench, query, gallery, kind, z, o)
    return make(_best(bench, query, gallery, kind, make))


@dataclass(frozen=True)
class _Drawn:
    """What the store knows the images by: the model's own key tells data, split and seed apart."""

    size: int

    @property
    def key(self) -> str:
        return f"distorted-training-{self.size}"


def training_features(bench: Workbench, name: str) -> np.ndarray:
    """float32 [n,d] of FITTED training images, drawn and distorted by the bench's seed: the same for every model."""
    size = min(FITTED, len(bench.data.training_set(1.0, bench.seed)))
    return stored_features(bench.model(name), _Drawn(size), partial(_embedded, bench, name))


@torch.no_grad()
def _embedded(bench: Workbench, name: str, share: Share) -> np.ndarray:
    data = bench.data.training_set(1.0, bench.seed).to(bench.on)
    order, rng = _order(bench, len(data))
    distort, model = data.distortion(bench.data.distortion), bench.model(name)
    parts = [model.embed(distort(images, rng, None)).cpu() for images, _ in data.batches(order, 1024)]
    return share.of(torch.cat(parts).numpy())  # every process draws and embeds all: the draws belong to the whole


def training_identities(bench: Workbench) -> list[str]:
    """The class of each row of `training_features`."""
    data = bench.data.training_set(1.0, bench.seed)
    order, _ = _order(bench, len(data))
    return [data.classes[label] for _, labels in data.batches(order, 1024) for label in labels.tolist()]


def _order(bench: Workbench, n: int) -> tuple[torch.Tensor, torch.Generator]:
    """Which of n training images are drawn, and the generator that distorts them from there on."""
    rng = torch.Generator().manual_seed(bench.seed)
    return torch.randperm(n, generator=rng)[:FITTED], rng


def _fit(
    bench: Workbench, query: str, gallery: str, kind: str, z: np.ndarray, o: np.ndarray, strength: float | None
) -> Map:
    ids = {"new_id": bench.recipe(query).key, "old_id": bench.recipe(gallery).key}
    if kind == SPAN_FILTER:
        head = bench.model(gallery).as_old().head.weight.detach().float().cpu().numpy()
        return fit(None, None, kind, head=head, strength=strength, **ids)
    return fit(z, o, kind, strength=strength, **ids)


def _strengths(kind: str, d_new: int, d_old: int) -> list[float]:
    """Those to choose from; none for kinds without one. A midpoint is of CURVE's map.

    An infinite one, plain least squares, is left to ridge.
    """
    if kind == SPAN_FILTER:
        return list(FILTER.strengths)
    tried = KINDS[CURVE if kind == MIDPOINT else kind].tried(d_new, d_old)
    return [each for each in tried if np.isfinite(each)]


def _best(bench: Workbench, query: str, gallery: str, kind: str, make: Callable[[float | None], Map]) -> float | None:
    """The strength with the highest mean of the strict points on validation identities."""
    strengths = _strengths(kind, bench.model(query).dim, bench.model(gallery).dim)
    if not strengths:
        return None
    return max(strengths, key=lambda each: _on_validation(bench, query, gallery, make(each)))


def _on_validation(bench: Workbench, query: str, gallery: str, made: Map) -> float:
    return criterion(_measured(bench, query, gallery, made, "", "validation"))


def _measured(
    bench: Workbench, query: str, gallery: str, made: Map | None, variant: str, part: str
) -> list[Measurement]:
    queries, items = bench.features(query, part), bench.features(gallery, part)
    if made is not None:
        old_queries = items if made.kind == MIDPOINT else None
        queries = made.apply(queries, bench.recipe(query).key, bench.recipe(gallery).key, old_queries)
    protocols = bench.protocols(part)
    return verification(protocols, queries, items, variant) + identification(protocols, queries, items, variant)
