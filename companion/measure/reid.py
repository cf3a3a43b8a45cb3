"""Measures of one pair of models by Market-1501's protocol (Table 5)."""

import numpy as np

from bctlib.data.variants import JUNK, ReidProtocol
from companion.measure.templates import Measurement
from companion.workbench import Workbench
from bctlib.metrics.retrieval import cmc, mean_average_precision, rank_gallery

PROTOCOL = "reid"
TASK = "persons"
"""Whose data it needs at paper scale: the workbench is turned to them wherever it comes in."""
RANKS = (1, 5, 10)
INTERPOLATIONS = {"mAP": "step", "mAP, trapezoid": "trapezoid"}
"""Average precision as in scikit-learn and torchreid, and as in the benchmark's own code; the paper names neither."""


def bench_reid_protocol(bench: Workbench, part: str = "test") -> ReidProtocol:
    """Queries and gallery of a part of the split, over the pool whose features the store may hold already."""
    return bench.for_task(TASK).reid_protocol(part)


def compare_reid(bench: Workbench, query: str, gallery: str, part: str = "test") -> list[Measurement]:
    """mAP both ways and CMC, in per cent: the query model embeds the queries, the gallery model the gallery.

    Either may be the old model, as Table 5 prints (old, new) where Tables 1 to 4 have (new, old). n_behind is the
    number of queries that have a right answer. Raises BctError where the query model has fewer dimensions than the
    gallery model, since only a query is read by its prefix.
    """
    features = bench.for_task(TASK).pair_features(query, gallery, part)
    return retrieval(bench_reid_protocol(bench, part), *features)


def retrieval(protocol: ReidProtocol, query: np.ndarray, gallery: np.ndarray) -> list[Measurement]:
    """mAP and CMC of features of the whole pool, float32 [n, d]: of one model for queries, of another for gallery."""
    of_query, of_gallery = protocol.query, protocol.gallery
    ranks = rank_gallery(
        query[of_query], protocol.identity[of_query], gallery[of_gallery], protocol.identity[of_gallery],
        protocol.camera[of_query], protocol.camera[of_gallery], junk=JUNK,
    )  # fmt: skip
    n_valid = int(np.count_nonzero(np.diff(ranks.starts)))
    rows = [
        Measurement(PROTOCOL, metric, "", 100 * mean_average_precision(ranks, interpolation), n_valid)
        for metric, interpolation in INTERPOLATIONS.items()
    ]
    return rows + [
        Measurement(PROTOCOL, "cmc", rank, 100 * float(share), n_valid)
        for rank, share in zip(RANKS, cmc(ranks, list(RANKS)), strict=True)
    ]
