"""Tables of costs and of the tour: speed on one machine, costs of large galleries, hits of the examples."""

import numpy as np
import pandas as pd

from bctlib.upgrade.serve.costs import Cost, Throughput, upgrade_costs
from bctlib.upgrade.serve.kinds import KINDS
from bctlib.upgrade.serve.live_index import REBUILD_AT
from bctlib.upgrade.serve.steps import STEPS
from companion.curves import APPROXIMATE, FLAT, RECALL_1, RECALL_10
from companion.measure.backfill import GALLERY_SIZES
from companion.measure.examples import PAIRS, SMALL_GALLERY, TABLE, WHOLE, load_retrievals, mate_ranks
from companion.measure.speed import (
    ADDED_PER_S,
    ALL,
    BATCH,
    BYTES_PER_VECTOR,
    EMBEDDING,
    IMAGES_PER_S,
    P50,
    P95,
    POOL,
    SINGLE,
    SPEED_TABLE,
    STEPS_OF,
)
from companion.results import load_rows
from companion.tables.cells import DASH, View, pair_text

_TIME_UNITS = (("years", 365.25 * 86400), ("days", 86400.0), ("hours", 3600.0), ("minutes", 60.0))


def hits_table(view: View, seed: int | None = None, n_queries: int | None = None) -> pd.DataFrame:
    """How often the first answer is right: for the examples shown, in their gallery, in the whole 1:N protocol.

    The examples belong to one seed, by default the first; n_queries takes the first of all saved queries. Shares are
    in per cent, means over the seeds in the results. The last row is the expected share of random guesses.
    """
    saved = load_retrievals(view.scale, seed, view.device, n_queries)
    examples, shares = saved.examples, view.cells(TABLE)
    n_gallery, n_shown = len(examples.gallery), len(examples.queries)
    sizes = [gallery.size for gallery in saved.protocols.identification.galleries]
    names = (
        f"the {n_shown} shown",
        f"gallery of {n_gallery}: {saved.searches[SMALL_GALLERY]:,} searches, %",
        f"galleries of {sizes[0]:,}: {saved.searches[WHOLE]:,} searches, %",
    )
    lines = {}
    for pair in PAIRS:
        ranks = mate_ranks(saved.cosines[pair], examples.query_identity, examples.gallery_identity)
        of_many = [shares[*pair, protocol, "rank", "1"].text() for protocol in (SMALL_GALLERY, WHOLE)]
        lines[pair_text(pair)] = [f"{np.count_nonzero(ranks == 1)} of {n_shown}", *of_many]
    lines["guessing"] = [DASH, f"{100 / n_gallery:.1f}", f"{100 / np.mean(sizes):.1f}"]
    return pd.DataFrame.from_dict(lines, orient="index", columns=names).rename_axis("first answer right")


def duration(seconds: float) -> str:
    """Three digits and the largest unit that fits: `17.4 hours`."""
    unit, size = next(((unit, size) for unit, size in _TIME_UNITS if seconds >= size), ("seconds", 1.0))
    number = f"{seconds / size:.3g}"
    return f"{number} {unit.removesuffix('s') if number == '1' else unit}"


def backfill_cost_table(scale: str, device: str | None = None) -> pd.DataFrame:
    """Time to embed galleries of three sizes again, at the measured speed of one core; embedding alone.

    Raises BctError without results of the speed.
    """
    images_per_s = speeds(scale, device)[EMBEDDING, IMAGES_PER_S, ALL]
    return pd.DataFrame(
        {
            "images in the gallery": f"{n:,}",
            "backfill": duration(n / images_per_s),
            "with a compatible model": "nothing to do",
        }
        for n in GALLERY_SIZES
    ).set_index("images in the gallery")


_UNITS = ((1e12, "TB"), (1e9, "GB"), (1e6, "MB"))


def speeds(scale: str, device: str | None = None) -> dict[tuple[str, str, str], float]:
    """Value by (protocol, metric, step); with several seeds that of the last one. Raises BctError without results."""
    rows = load_rows(scale, SPEED_TABLE, device)
    return {(row.protocol, row.metric, row.operating_point): row.value for row in rows.itertuples()}


def speed_device(scale: str, device: str | None = None) -> str:
    """The machine on which the speeds were measured."""
    return load_rows(scale, SPEED_TABLE, device)["device"].iloc[0]


def latency_table(scale: str, device: str | None = None) -> pd.DataFrame:
    """Milliseconds per query at each step of one index, FAISS on one thread: p50 / p95 one by one, and in a batch."""
    values, rows = speeds(scale, device), {}
    for kind in (FLAT, *APPROXIMATE):
        protocol = f"{STEPS_OF}{kind}"
        steps = [step for step in STEPS if (protocol, P50, step) in values]
        rows[f"{kind}, one by one, p50 / p95"] = {
            step: f"{values[protocol, P50, step]:.3f} / {values[protocol, P95, step]:.3f}" for step in steps
        }
        rows[f"{kind}, in a batch"] = {step: f"{values[protocol, BATCH, step]:.4f}" for step in steps}
    return pd.DataFrame.from_dict(rows, orient="index").fillna(DASH).rename_axis("kind, ms per query")


def kinds_table(scale: str, device: str | None = None) -> pd.DataFrame:
    """Each kind of index on all test images of the pool: storage, speed and recall."""
    values = speeds(scale, device)
    rows = {}
    for kind in (FLAT, *APPROXIMATE):
        of = {metric: value for (protocol, metric, _), value in values.items() if protocol == f"{POOL}{kind}"}
        rows[f"{kind}: {KINDS[kind].about}"] = {
            "vectors/s added": f"{of[ADDED_PER_S]:,.0f}",
            "bytes/vector": f"{of[BYTES_PER_VECTOR]:,.0f}",
            "ms/query p50 / p95": f"{of[P50]:.3f} / {of[P95]:.3f}",
            "ms/query in a batch": f"{of[BATCH]:.4f}",
            "recall@1": f"{of[RECALL_1]:.1f}",
            "recall@10": f"{of[RECALL_10]:.1f}",
        }
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("kind")


def throughput(scale: str, kind: str, device: str | None = None) -> Throughput:
    values = speeds(scale, device)
    pool = f"{POOL}{kind}"
    return Throughput(
        values[EMBEDDING, IMAGES_PER_S, ALL], values[pool, ADDED_PER_S, ALL], values[pool, BYTES_PER_VECTOR, ALL]
    )


def cost_table(scale: str, kind: str = FLAT, device: str | None = None) -> pd.DataFrame:
    """Costs of four practices at three gallery sizes, extrapolated from the measured speed of one core."""
    of = throughput(scale, kind, device)
    tombstones_at = REBUILD_AT if KINDS[kind].overwrite is None else None
    rows = [
        {"images": f"{n:,}", "practice": cost.practice} | _cells(n, cost, of)
        for n in GALLERY_SIZES
        for cost in upgrade_costs(n, of, tombstones_at)
    ]
    return pd.DataFrame(rows).set_index(["images", "practice"])


def _cells(n: int, cost: Cost, of: Throughput) -> dict[str, str]:
    when = "before the new model serves" if cost.must else "at leisure, or never"
    return {
        "until the new model serves all queries": duration(cost.wait_s) if cost.wait_s else "at once",
        "embedding, core hours": f"{of.embed_s(n) / 3600:,.3g}",
        "index, core hours": f"{(cost.backfill_s - of.embed_s(n)) / 3600:,.3g}",
        "backfill": when,
        "storage meanwhile": size(cost.storage),
        "embeddings per query": str(cost.query_embeddings),
        "per new item": str(cost.item_embeddings),
    }


def size(nbytes: float) -> str:
    """Bytes with three digits and a decimal unit: `1.07 GB`."""
    unit, name = next(((unit, name) for unit, name in _UNITS if nbytes >= unit), (1e3, "kB"))
    return f"{nbytes / unit:.3g} {name}"


def embedding_text(scale: str, device: str | None = None) -> str:
    """One sentence on the speed of embedding, in batches and for the single image of a query."""
    values = speeds(scale, device)
    text = f"{values[EMBEDDING, IMAGES_PER_S, ALL]:,.0f} images per second are embedded in batches"
    if (EMBEDDING, SINGLE, ALL) in values:
        text += f"; a single one takes {values[EMBEDDING, SINGLE, ALL]:.1f} ms"
    return f"{text} ({speed_device(scale, device)})"
