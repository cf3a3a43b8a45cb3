"""Practices while a gallery is backfilled: one index by a compatible model, rank merge, and a cascade. Ours.

Rank merge and cascade are for the independent new model. The calibration of both models comes from the impostor pairs
of validation identities, and so does the strength of the map that the cascade begins with.
"""

from collections.abc import Iterator

import numpy as np

from bctlib.data.templates import template_embeddings
from bctlib.metrics.backfill import BackfillSearches, backfill_searches, random_order, tpir_along
from bctlib.metrics.merging import Calibration, cascade_searches, merged_searches
from bctlib.models import find_model
from companion.curves import CASCADE, FILTERED, MERGED, RANDOM_ORDERS, STANDARD, TENTHS, curve_name, tpir_name
from companion.measure.mapped.every_map import best_map
from companion.measure.mapped.query_filter import best_filter, filtered
from companion.measure.templates import FPIRS, Measurement, pair_scores
from companion.workbench import Workbench

CANDIDATES = 200
"""Old templates that a query of the cascade has embedded anew."""


def compare_practices(bench: Workbench, query: str, gallery: str, part: str = "test") -> list[Measurement]:
    """Curves of TENTHS in the random orders of Fig. 3, means of the two galleries.

    A compatible query model searches one mixed gallery, also with queries filtered for the old part; the independent
    one merges, and cascades. A pair of one model
    has one value, at 100, on its own gallery. Raises UsageError where there are no validation identities.
    """
    old, new = bench.features(gallery, part), bench.features(query, part)
    protocols = bench.protocols(part).identification
    galleries = [(each.identity, *(template_embeddings(rows, each) for rows in (old, new)))
                 for each in protocols.galleries]  # fmt: skip
    probes, wanted = template_embeddings(new, protocols.probes), protocols.probes.identity
    points = len(TENTHS)

    def one_index(identities, by_old, by_new, order) -> BackfillSearches:
        return backfill_searches(probes, wanted, by_old, by_new, identities, order, points)

    if query == gallery:
        found = _curve(STANDARD, RANDOM_ORDERS[0], galleries, one_index)
        return [Measurement(STANDARD, *each) for _, *each in found if each[1] == TENTHS[-1]]
    if find_model(query).old is None:
        old_probes = template_embeddings(old, protocols.probes)
        made = best_map(bench, query, gallery)
        mapped = made.apply(new, bench.recipe(query).key, bench.recipe(gallery).key)
        mapped_probes = template_embeddings(mapped, protocols.probes)
        levels = [calibration(bench, model) for model in (gallery, query)]

        def merged(identities, by_old, by_new, order) -> BackfillSearches:
            return merged_searches(
                old_probes, probes, wanted, by_old, by_new, identities, *levels, order=order, points=points
            )

        def cascade(identities, by_old, by_new, order) -> BackfillSearches:
            return cascade_searches(
                mapped_probes, probes, wanted, by_old, by_new, identities, CANDIDATES, order, points
            )

        practices = {MERGED: merged, CASCADE: cascade}
    else:
        by_filter = template_embeddings(filtered(new, best_filter(bench, query, gallery)), protocols.probes)

        def half_filtered(identities, by_old, by_new, order) -> BackfillSearches:
            as_they_are = (np.asarray, np.asarray)  # cosines of one space need no calibration
            return merged_searches(
                by_filter, probes, wanted, by_old, by_new, identities, *as_they_are, order=order, points=points
            )

        practices = {STANDARD: one_index, FILTERED: half_filtered}
    return [
        Measurement(*each)
        for practice, search in practices.items()
        for order in RANDOM_ORDERS
        for each in _curve(practice, order, galleries, search)
    ]


def calibration(bench: Workbench, model: str) -> Calibration:
    """Of the model with itself, on the impostor pairs of validation identities."""
    features = bench.features(model, "validation")
    return Calibration.of(pair_scores(bench.protocols("validation"), features, features, keep=None).impostor)


def _curve(practice: str, order: str, galleries: list, search) -> Iterator[tuple]:
    """(protocol, metric, point, value, non-mated searches) of one curve, as the mean over the galleries."""
    found = [
        search(identities, by_old, by_new, random_order(identities, [RANDOM_ORDERS.index(order), number]))
        for number, (identities, by_old, by_new) in enumerate(galleries)
    ]
    n_nonmated = min(int((~each.mated).sum()) for each in found)
    fpirs = [fpir for fpir in FPIRS if fpir * n_nonmated >= 1]
    for point, values in zip(TENTHS, np.mean([tpir_along(each, fpirs) for each in found], axis=0), strict=True):
        for fpir, value in zip(fpirs, values, strict=True):
            yield curve_name(practice, order), tpir_name(fpir), point, 100 * value, n_nonmated
