"""Benchmarks of an index: latency, insertion rate, and recall against an exact index. No test asserts a time.

Seconds are processor time of one thread, which on an idle machine equals wall-clock time.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import faiss
import numpy as np

from bctlib.upgrade.serve.live_index import LiveIndex


@contextmanager
def one_thread() -> Iterator[None]:
    """FAISS on one thread, on which it also builds the same graph every time."""
    before = faiss.omp_get_max_threads()
    faiss.omp_set_num_threads(1)
    try:
        yield
    finally:
        faiss.omp_set_num_threads(before)


@dataclass(frozen=True)
class Latency:
    """Milliseconds per query. p50, p95: of queries that come one at a time; batch: of all of them in one call."""

    p50: float
    p95: float
    batch: float


def search_latency(index: LiveIndex, queries: np.ndarray, model: str, k: int = 10, singles: int = 300) -> Latency:
    """Search with the first `singles` queries one by one and with all in one call, each after a first that warms up.

    queries: float32 [q, d]. The whole of `LiveIndex.search` is timed, embedding the query is not.
    """
    with one_thread():
        single = [seconds_of(lambda row=row: index.search(row[None], model, k)) for row in queries[: singles + 1]][1:]
        batch = min(seconds_of(lambda: index.search(queries, model, k)) for _ in range(2)) / len(queries)
    p50, p95 = np.percentile(single, [50, 95])
    return Latency(1e3 * float(p50), 1e3 * float(p95), 1e3 * batch)


def add_rate(dim: int, kind: str, vectors: np.ndarray, model: str) -> tuple[float, LiveIndex]:
    """Vectors per second that an empty index of this kind takes in one call, training included; and the index."""
    index, numbers = LiveIndex(dim, kind), np.arange(len(vectors))
    with one_thread():
        seconds = seconds_of(lambda: index.add(numbers, numbers, vectors, model))
    return len(vectors) / seconds, index


def seconds_of(work: Callable[[], object]) -> float:
    """Processor seconds of this process; `work` must keep to one thread."""
    began = time.process_time()
    work()
    return time.process_time() - began


def recall(found: np.ndarray, exact: np.ndarray) -> tuple[float, float]:
    """(recall@1, recall@k): share of queries with the same first item, and of the exact items that were found.

    Both int64 [q, k], items in order of their scores, -1 where there is none.
    """
    there = exact >= 0
    both = (found[:, :, None] == exact[:, None, :]).any(axis=1) & there
    return float(np.mean(found[:, 0] == exact[:, 0])), float(both.sum() / there.sum())
