"""Speed of the parts of a live upgrade on this machine, kept apart from the results that do not depend on a machine.

Everything runs on one CPU thread, on whatever device the models were trained, and is measured in CPU seconds. Rows of
the table `upgrade_speed`: protocol `embedding` (images per second in batches, ms for a single image), `steps, <kind>`
(G1's index at each step) and `pool, <kind>` (an index of all test images, the largest one available).
"""

from collections.abc import Iterator

import numpy as np
import torch

from bctlib.base import progress
from bctlib.models import find_model, with_lambda
from bctlib.training.devices import training_provenance
from bctlib.upgrade.serve.latency import Latency, add_rate, recall, search_latency, seconds_of
from companion.curves import APPROXIMATE, FLAT, RECALL_1, RECALL_10
from companion.experiments import UPGRADE_PAIRS
from companion.measure.upgrade import gallery_side, version
from companion.results import save_rows
from companion.workbench import Workbench

SPEED_TABLE = "upgrade_speed"
EMBEDDING, STEPS_OF, POOL = "embedding", "steps, ", "pool, "
IMAGES_PER_S, ADDED_PER_S, BYTES_PER_VECTOR = "images per second", "vectors added per second", "bytes per vector"
P50, P95, BATCH = "ms per query, p50", "ms per query, p95", "ms per query, in one batch"
SINGLE = "ms per image, one at a time"
ALL = "all"
"""Operating point of quantities that are measured once instead of at each step."""
N_QUERIES = 1000
HITS = 10


def save_speed(bench: Workbench, lam: float = 1.0) -> None:
    """Measure and save the rows. Steps are timed for the first compatible pair of the upgrade."""
    query, gallery = next((q, g) for q, g in UPGRADE_PAIRS if find_model(q).old == g)
    query, threads = with_lambda(query, lam), torch.get_num_threads()
    about = {
        "seed": bench.seed, "method": find_model(query).method, "query_model": query, "gallery_model": gallery,
        "seconds": 0.0,
    }  # fmt: skip
    kinds, rows = (FLAT, *APPROXIMATE), []
    torch.set_num_threads(1)
    try:
        about |= training_provenance(torch.device("cpu"))
        with progress.task(f"speed seed {bench.seed}", total=1 + 2 * len(kinds), unit="part") as task:
            rows += _embedding(bench, query)
            task.step(1)
            for done, kind in enumerate(kinds):
                rows += _steps(bench, query, gallery, kind)
                task.step(2 + 2 * done)
                rows += _pool(bench, query, kind)
                task.step(3 + 2 * done)
    finally:
        torch.set_num_threads(threads)
    save_rows([about | row for row in rows], bench.scale, SPEED_TABLE)


def _row(protocol: str, metric: str, value: float, n_behind: int, point: str = ALL) -> dict:
    return {"protocol": protocol, "metric": metric, "operating_point": point, "value": value, "n_behind": n_behind}


def _embedding(bench: Workbench, name: str) -> Iterator[dict]:
    """Batches: the fastest of five rounds; single images: the median of fifty. Images are in memory."""
    cpu = Workbench(bench.scale, bench.seed, "cpu", task=bench.task)
    model = cpu.model(name)
    (batch, n_images), (single, _) = (cpu.data.embedding(model, n, cpu.on) for n in (2048, 1))
    seconds = min([seconds_of(batch) for _ in range(6)][1:])
    yield _row(EMBEDDING, IMAGES_PER_S, n_images / seconds, n_images)
    yield _row(EMBEDDING, SINGLE, 1e3 * float(np.median([seconds_of(single) for _ in range(51)][1:])), 50)


def _steps(bench: Workbench, query: str, gallery: str, kind: str) -> Iterator[dict]:
    side = gallery_side(bench, 0, query, gallery)
    for step in side.steps(kind):
        queries = side.probes[step.queries_by][:N_QUERIES]
        yield from _latencies(
            f"{STEPS_OF}{kind}", search_latency(step.index, queries, step.queries_by, HITS), len(step.index), step.name
        )


def _pool(bench: Workbench, name: str, kind: str) -> Iterator[dict]:
    """An index of every image of the pool except the queries, which are spread evenly over the pool."""
    features, model = bench.features(name), version(bench, name)
    asked = np.zeros(len(features), bool)
    asked[np.linspace(0, len(features) - 1, min(N_QUERIES, len(features) // 4)).astype(np.int64)] = True
    rate, index = add_rate(features.shape[1], kind, features[~asked], model)
    protocol, n = f"{POOL}{kind}", len(index)
    yield _row(protocol, ADDED_PER_S, rate, n)
    yield _row(protocol, BYTES_PER_VECTOR, index.nbytes / n, n)
    yield from _latencies(protocol, search_latency(index, features[asked], model, HITS), n, ALL)
    found = index.search(features[asked], model, HITS).items
    exact = index if kind == FLAT else add_rate(features.shape[1], FLAT, features[~asked], model)[1]
    expected = exact.search(features[asked], model, HITS).items
    first, ten = recall(found, expected)
    yield _row(protocol, RECALL_1, 100 * first, n)
    yield _row(protocol, RECALL_10, 100 * ten, n)


def _latencies(protocol: str, latency: Latency, n: int, point: str) -> Iterator[dict]:
    for metric, value in ((P50, latency.p50), (P95, latency.p95), (BATCH, latency.batch)):
        yield _row(protocol, metric, value, n, point)
