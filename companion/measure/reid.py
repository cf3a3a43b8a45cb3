"""Market-1501's protocol (Table 5): measures of a pair of models, and the best gallery images for a few queries.

The positions of these images are saved as results, so that the figure needs no models.
"""

import numpy as np

from bctlib.data.variants import JUNK, ReidProtocol
from bctlib.metrics.blocks import unit_rows
from bctlib.metrics.retrieval import cmc, mean_average_precision, rank_gallery
from companion.measure.templates import Measurement
from companion.pairs import Pair, pairs_at
from companion.results import save_rows
from companion.workbench import Workbench

PROTOCOL = "reid"
TASK = "persons"
"""The data set needed at paper scale; functions that take a workbench switch it to these data."""
RANKS = (1, 5, 10)
INTERPOLATIONS = {"mAP": "step", "mAP, trapezoid": "trapezoid"}
"""Average precision as in scikit-learn and torchreid, and as in the benchmark's own code; the paper names neither."""


def bench_reid_protocol(bench: Workbench, part: str = "test") -> ReidProtocol:
    """Queries and gallery of a part of the split, over the pool for which the store may already hold features."""
    return bench.for_task(TASK).reid_protocol(part)


def compare_reid(bench: Workbench, query: str, gallery: str, part: str = "test") -> list[Measurement]:
    """mAP both ways and CMC, in per cent: the query model embeds the queries, the gallery model the gallery.

    Either may be the old model: Table 5 prints (old, new), Tables 1 to 4 print (new, old). n_behind is the number of
    queries that have a right answer. Raises BctError if the query model has fewer dimensions than the gallery model,
    because only queries are shortened to a prefix.
    """
    features = bench.for_task(TASK).pair_features(query, gallery, part)
    return retrieval(bench_reid_protocol(bench, part), *features)


def retrieval(protocol: ReidProtocol, query: np.ndarray, gallery: np.ndarray) -> list[Measurement]:
    """mAP and CMC from features of the whole pool, float32 [n, d], by the query model and by the gallery model."""
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


TABLE = "reid_hits"
HITS = 8


def shown_queries(protocol: ReidProtocol, count: int = 4) -> np.ndarray:
    """Numbers of `count` queries spread evenly over all, int64: chosen by position, independent of any model."""
    return np.linspace(0, len(protocol.query) - 1, count + 2).astype(np.int64)[1:-1]


def best_hits(protocol: ReidProtocol, number: int, query: np.ndarray, gallery: np.ndarray, count: int) -> np.ndarray:
    """Positions in the pool of the `count` best images for one query, best first.

    Images with both the identity and the camera of the query are excluded, as the protocol says.
    query, gallery: features of the whole pool, float32 [n, d], by the query model and by the gallery model.
    """
    allowed = protocol.allowed(number)
    scores = unit_rows(gallery, "gallery", allowed) @ query[protocol.query[number]]
    return allowed[np.argsort(-scores, kind="stable")[:count]]


def save_reid_hits(bench: Workbench, pairs: tuple[Pair, ...], lam: float = 1.0, count: int = HITS) -> None:
    """The best `count` images for `shown_queries` by every pair of models, in a run at lambda `lam`.

    One row per hit: metric `hit of <query's position in the pool>`, operating point its rank, value its position in
    the pool, n_behind the number of images that were ranked.
    """
    bench = bench.for_task(TASK)
    protocol, rows = bench_reid_protocol(bench), []
    for query, gallery in pairs_at(pairs, lam):
        features, about = bench.pair_features(query, gallery), bench.about(query, gallery)
        for number in shown_queries(protocol):
            for rank, position in enumerate(best_hits(protocol, number, *features, count), 1):
                rows.append(
                    about | {
                        "protocol": PROTOCOL, "operating_point": rank, "value": int(position),
                        "metric": f"hit of {protocol.query[number]}", "n_behind": len(protocol.allowed(number)),
                    }
                )  # fmt: skip
    save_rows(rows, bench.scale, TABLE)
