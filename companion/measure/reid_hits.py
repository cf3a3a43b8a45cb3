"""The best gallery images of a few queries, kept as results so that they can be shown again without models."""

import numpy as np

from bctlib.data.variants import ReidProtocol
from companion.pairs import Pair
from companion.measure.reid import PROTOCOL, TASK, bench_reid_protocol
from companion.results import save_rows
from companion.workbench import Workbench
from bctlib.metrics.blocks import unit_rows

TABLE = "reid_hits"
HITS = 8


def shown_queries(protocol: ReidProtocol, count: int = 4) -> np.ndarray:
    """Numbers of `count` queries spread evenly over all, int64: chosen by place, whatever a model finds for them."""
    return np.linspace(0, len(protocol.query) - 1, count + 2).astype(np.int64)[1:-1]


def best_hits(protocol: ReidProtocol, number: int, query: np.ndarray, gallery: np.ndarray, count: int) -> np.ndarray:
    """Positions in the pool of the `count` best images for one query, best first, those of its identity and camera out.

    query, gallery: float32 [n, d], of the whole pool, by the query model and by the gallery model.
    """
    allowed = protocol.allowed(number)
    scores = unit_rows(gallery, "gallery", allowed) @ query[protocol.query[number]]
    return allowed[np.argsort(-scores, kind="stable")[:count]]


def save_reid_hits(bench: Workbench, pairs: tuple[Pair, ...], count: int = HITS) -> None:
    """The best `count` images for `shown_queries` by every pair of models.

    One row per hit: metric `hit of <query's position in the pool>`, operating point its rank, value its position in
    the pool, n_behind the number of images that were ranked.
    """
    bench = bench.for_task(TASK)
    protocol, rows = bench_reid_protocol(bench), []
    for query, gallery in pairs:
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
