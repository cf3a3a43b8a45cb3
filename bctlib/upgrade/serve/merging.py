"""Search one index with two models that are not comparable, and merge what they find: rank merge.

    index.keep_apart("new", "old")
    index.replace(items[:100], new_vectors, "new")   # a backfill, though new and old vectors cannot be compared
    levels = {"old": Calibration.of(old_impostor_scores), "new": Calibration.of(new_impostor_scores)}
    merged_search(index, {"old": old_queries, "new": new_queries}, levels, k=5)

Every query is embedded twice and searched twice, for as long as vectors by both models are there. No training and no
map is needed. Accuracy on the way: notebook 05.
"""

from collections.abc import Mapping

import numpy as np

from bctlib.base.errors import BctError
from bctlib.metrics.merging import Calibration
from bctlib.upgrade.serve.live_index import Hits, LiveIndex


def merged_search(
    index: LiveIndex, queries: Mapping[str, np.ndarray], levels: Mapping[str, Calibration], k: int = 1
) -> Hits:
    """The k items of the highest level for each query; each model's query searches that model's vectors alone.

    queries: {model: float [q, dim or more]}, the same q queries by every model whose vectors are in the index. levels:
    the calibration of each. The scores of the hits are levels, -log10 of the false accept rate, not cosines.
    Raises BctError where a model has no queries or no calibration, for other numbers of queries, and as
    `LiveIndex.search` does.
    """
    for what, given in (("queries", queries), ("a calibration", levels)):
        missing = [model for model in index.models if model not in given]
        if missing:
            raise BctError(f"the index holds vectors of {missing[0]!r}, expected {what} of that model too")
    sizes = {model: len(rows) for model, rows in queries.items()}
    if len(set(sizes.values())) != 1:
        raise BctError(f"expected the same queries by every model, got {sizes}")
    found = [(levels[model], index.search(queries[model], model, k, made_by=model)) for model in index.models]
    if not found:
        raise BctError("the index is empty: there is nothing to merge")
    scores = np.concatenate([level(hits.scores) for level, hits in found], axis=1).astype(np.float32)
    best = np.argsort(-scores, axis=1, kind="stable")[:, :k]
    items, classes, made_by = (
        np.take_along_axis(np.concatenate([getattr(hits, name) for _, hits in found], axis=1), best, axis=1)
        for name in ("items", "classes", "made_by")
    )
    return Hits(items, classes, np.take_along_axis(scores, best, axis=1), made_by)
