"""Search accuracy while the gallery is backfilled class by class (Appendix B, Fig. 3), in several orders.

The query model embeds all probes. At x per cent, the first x per cent of each gallery's classes, in the order of
backfill, have templates by the query model; the others still have templates by the gallery model. The threshold is
recomputed at each point: one for all templates, or one for each model's templates. Values are means over G1 and G2.

The module also measures the cost of a backfill: images in the gallery times seconds per image.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from bctlib.data.templates import TemplateSet, template_embeddings
from bctlib.data.variants import long_tailed_galleries
from bctlib.metrics.backfill import (
    backfill_searches,
    images_backfilled,
    largest_first,
    least_certain_first,
    random_order,
    tpir_along,
    tpir_along_two_thresholds,
)
from bctlib.upgrade.serve.item_order import area_under
from companion.curves import (
    AREA,
    IMAGES,
    LARGEST,
    LEAST_CERTAIN,
    LONG_TAILED,
    ORDERS,
    PER_CENT,
    POINTS,
    RANDOM_ORDERS,
    SEARCHED_BY_SIZE,
    SPEED,
    STANDARD,
    STRICT,
    STRICT_FPIR,
    TWO_THRESHOLDS,
    curve_name,
    tpir_name,
)
from companion.measure.templates import FPIRS, Measurement, compare
from companion.workbench import Workbench


def compare_backfill(bench: Workbench, query: str, gallery: str, part: str = "test") -> list[Measurement]:
    """Curves on the galleries of the 1:N protocol in three random orders and least certain first, every 2 %.

    The random orders are the same for every seed and model. A pair of one model has no curve: its one value, at 100,
    is the model's accuracy on its own gallery.
    """
    return _curves(bench, query, gallery, part, STANDARD, ORDERS[STANDARD])


def compare_backfill_orders(bench: Workbench, query: str, gallery: str, part: str = "test") -> list[Measurement]:
    """As `compare_backfill` on long-tailed galleries, also largest first; with the cost of each order in images.

    Each curve is measured twice: with every class searched equally often, and with each class searched as often as it
    has images. Non-mated searches are the same in both.
    """
    return _curves(bench, query, gallery, part, LONG_TAILED, ORDERS[LONG_TAILED])


def compare_with_area(bench: Workbench, query: str, gallery: str, part: str = "test") -> list[Measurement]:
    """As `compare`, with AREA for a pair of two models, and with SPEED for a pair of one."""
    rows = compare(bench, query, gallery, part)
    if query == gallery:
        speed = bench.model(query).training.images_per_s
        return [*rows, Measurement("training", SPEED, "", speed, 1)]
    curves = _curves(bench, query, gallery, part, STANDARD, RANDOM_ORDERS)
    on_the_way = [each for each in curves if each.metric == STRICT]
    if not on_the_way:  # a gallery with too few non-mated searches for this rate
        return rows
    heights = np.reshape([each.value for each in on_the_way], (len(RANDOM_ORDERS), POINTS))
    area = area_under(np.linspace(0, 1, POINTS), heights.mean(0))
    return [*rows, Measurement(STANDARD, AREA, "", area, on_the_way[0].n_behind)]


@dataclass(frozen=True)
class Side:
    """One of the two galleries: its templates by both models. number: 0 for G1, 1 for G2."""

    number: int
    templates: TemplateSet
    old: np.ndarray
    new: np.ndarray

    def order(self, name: str) -> np.ndarray:
        """The classes in the named order; classes of equal size are in the first random order."""
        identities = self.templates.identity
        if name == LEAST_CERTAIN:
            return least_certain_first(identities, self.old)
        if name == LARGEST:
            return largest_first(identities, self.templates.images_per_template, [0, self.number])
        return random_order(identities, [RANDOM_ORDERS.index(name), self.number])

    def times(self, probes: TemplateSet) -> np.ndarray:
        """How often each probe is searched when classes are searched by size; 1 for a probe without a mate."""
        sizes = dict(zip(self.templates.identity.tolist(), self.templates.images_per_template.tolist(), strict=True))
        return np.array([sizes.get(identity, 1) for identity in probes.identity.tolist()])


def _curves(
    bench: Workbench, query: str, gallery: str, part: str, kind: str, orders: tuple[str, ...]
) -> list[Measurement]:
    protocols = bench.protocols(part)
    probes = protocols.identification.probes
    galleries = protocols.identification.galleries if kind == STANDARD else long_tailed_galleries(protocols)
    old, new = bench.features(gallery, part), bench.features(query, part)
    sides = [
        Side(number, each, template_embeddings(old, each), template_embeddings(new, each))
        for number, each in enumerate(galleries)
    ]
    embedded = template_embeddings(new, probes)
    if query == gallery:
        found = _measured(kind, RANDOM_ORDERS[0], sides, probes, embedded)
        return [_whole(each) for each in found if each.operating_point == PER_CENT[-1] and each.metric != IMAGES]
    return [each for order in orders for each in _measured(kind, order, sides, probes, embedded)]


def _whole(end: Measurement) -> Measurement:
    """The last point of a curve under the name of its galleries, because it does not depend on the order."""
    return replace(end, protocol=end.protocol.removesuffix(curve_name("", RANDOM_ORDERS[0])))


def _measured(
    kind: str, order: str, sides: list[Side], probes: TemplateSet, embedded: np.ndarray
) -> Iterator[Measurement]:
    """Every point of one curve, as the mean over the two galleries."""
    in_order = [side.order(order) for side in sides]
    searches = [
        backfill_searches(embedded, probes.identity, side.old, side.new, side.templates.identity, each, POINTS)
        for side, each in zip(sides, in_order, strict=True)
    ]
    n_nonmated = min(int((~each.mated).sum()) for each in searches)
    fpirs = [fpir for fpir in FPIRS if fpir * n_nonmated >= 1]
    weights = {kind: [None, None]}
    if kind == LONG_TAILED:
        weights[SEARCHED_BY_SIZE] = [side.times(probes) for side in sides]
    for name, times in weights.items():
        curves = [tpir_along(each, fpirs, times=each_times) for each, each_times in zip(searches, times, strict=True)]
        for point, values in zip(PER_CENT, np.mean(curves, axis=0), strict=True):
            for fpir, value in zip(fpirs, values, strict=True):
                yield Measurement(curve_name(name, order), tpir_name(fpir), point, 100 * value, n_nonmated)
        if STRICT_FPIR in fpirs:
            pairs = zip(searches, times, strict=True)
            apart = [tpir_along_two_thresholds(each, STRICT_FPIR, each_times) for each, each_times in pairs]
            for point, value in zip(PER_CENT, np.mean(apart, axis=0), strict=True):
                yield Measurement(curve_name(name, order), TWO_THRESHOLDS, point, 100 * value, n_nonmated)
    sizes = [side.templates.images_per_template for side in sides]
    shares = [
        images_backfilled(side.templates.identity, size, each, POINTS)
        for side, size, each in zip(sides, sizes, in_order, strict=True)
    ]
    n_images = sum(int(size.sum()) for size in sizes)
    for point, share in zip(PER_CENT, np.mean(shares, axis=0), strict=True):
        yield Measurement(curve_name(kind, order), IMAGES, point, 100 * share, n_images)


GALLERY_SIZES = (10**6, 10**8, 10**9)
