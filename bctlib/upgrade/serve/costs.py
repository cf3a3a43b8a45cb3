"""The cost of upgrading a large gallery, extrapolated from throughput measured on a small one.

All costs are products: seconds per image and bytes per vector are assumed constant as the gallery grows. This holds for
embedding. It does not hold for HNSW, where insertion slows down as the graph grows, nor for a gallery larger than the
memory of one machine.
"""

import math
from dataclasses import dataclass, replace


@dataclass(frozen=True)
class Throughput:
    """What was measured. images_per_s: embedded by the new model; added_per_s: vectors that the index takes; both of
    one core. bytes_per_vector: of the index, with ids and links.
    """

    images_per_s: float
    added_per_s: float
    bytes_per_vector: float

    def embed_s(self, n: int) -> float:
        return n / self.images_per_s

    def add_s(self, n: int) -> float:
        return n / self.added_per_s

    def nbytes(self, n: int) -> float:
        return n * self.bytes_per_vector


@dataclass(frozen=True)
class Cost:
    """Of one practice for a gallery of n images.

    wait_s: from the day the new model is there until it serves all queries, core seconds. backfill_s: core
    seconds of the whole backfill, embedding and index. must: whether that has to be done before the new model serves.
    storage: bytes of index(es) while the backfill runs. query_embeddings, item_embeddings: embeddings of each query
    and of each new item while it runs. rebuilt_s: part of backfill_s that inserts vectors a second time.
    """

    practice: str
    wait_s: float
    backfill_s: float
    must: bool
    storage: float
    query_embeddings: int
    item_embeddings: int
    rebuilt_s: float = 0.0


def upgrade_costs(n: int, of: Throughput, tombstones_at: float | None = None) -> tuple[Cost, ...]:
    """A compatible model in one index, dual write with the old model serving, and with both searched; last two models
    that are not comparable in one index, whose hits are merged.

    tombstones_at: where the kind cannot delete (HNSW), the share of tombstones at which it is built anew. A backfill
    then inserts, besides the n new vectors, n again at each rebuild, and the index is larger by the tombstones.
    """
    embed, add = of.embed_s(n), of.add_s(n)
    rebuilds, dead = _rebuilds(n, tombstones_at)
    rebuilt = of.add_s(rebuilds * n)
    one = Cost("compatible, one index", 0.0, embed + add + rebuilt, False, of.nbytes(n + dead), 1, 1, rebuilt)
    wait = embed + add
    return (
        one,
        Cost("dual write, old serves", wait, wait, True, 2 * of.nbytes(n), 1, 2),
        Cost("dual write, both searched", wait, wait, True, 2 * of.nbytes(n), 2, 2),
        replace(one, practice="one index, hits of both merged", query_embeddings=2),
    )


def _rebuilds(n: int, tombstones_at: float | None) -> tuple[int, int]:
    """How often n replacements, one by one, rebuild the graph, and the most tombstones it ever holds."""
    if tombstones_at is None or tombstones_at >= 1:
        return 0, 0 if tombstones_at is None else n
    # Tombstones t are a share t / (n + t) of the nodes, and more than that share from this many on.
    limit = math.floor(n * tombstones_at / (1 - tombstones_at) * (1 + 1e-12)) + 1
    return n // limit, min(n, limit)
