"""Peers of our stages: functions of other libraries, if installed, and the way that common scripts do it.

Each function takes the same arrays as our stage and gives, by the peer's name, work to be timed; its result must agree
with ours, so that no peer is timed on other work, and one that measures something else says so in its name. Peers are
imported before, outside the timed work.
"""

import importlib.util
from collections.abc import Callable

import numpy as np

from bctlib.metrics.blocks import unit_rows


def installed(module: str) -> bool:
    return importlib.util.find_spec(module) is not None


def verification_peers(genuine: np.ndarray, impostor: np.ndarray, fars) -> dict[str, Callable[[], list[float]]]:
    """TAR at each FAR."""
    from sklearn.metrics import roc_curve

    def by_sklearn() -> list[float]:
        labels = np.r_[np.ones(len(genuine), np.int8), np.zeros(len(impostor), np.int8)]
        fpr, tpr, _ = roc_curve(labels, np.r_[genuine, impostor], drop_intermediate=False)
        return [float(tpr[np.searchsorted(fpr, far, side="right") - 1]) for far in fars]

    peers: dict[str, Callable[[], list[float]]] = {"scikit-learn": by_sklearn}
    if not installed("torchmetrics"):
        return peers
    import torch
    from torchmetrics.functional.classification import binary_roc

    def by_torchmetrics() -> list[float]:
        labels = torch.cat([torch.ones(len(genuine), dtype=torch.long), torch.zeros(len(impostor), dtype=torch.long)])
        scores = torch.from_numpy((np.r_[genuine, impostor] + 1) / 2)  # it takes a sigmoid of what leaves 0 to 1
        fpr, tpr, _ = (each.numpy() for each in binary_roc(scores.clamp(0, 1), labels))
        return [float(tpr[np.searchsorted(fpr, far, side="right") - 1]) for far in fars]

    return peers | {"torchmetrics": by_torchmetrics}


def pooling_by_scan(features, template, medium, n_templates, weight) -> np.ndarray:
    """The common script: every template searches all images for its own."""
    pooled = np.zeros((n_templates, features.shape[1]), np.float32)
    weighted = features * weight[:, None]
    for t in range(n_templates):
        (own,) = np.where(template == t)
        rows, media = weighted[own], medium[own]
        pooled[t] = sum(rows[media == each].mean(axis=0) for each in np.unique(media))
    return unit_rows(pooled)


def pairs_by_row_products(first, first_rows, second, second_rows) -> np.ndarray:
    """The common script: a product for each pair, 100,000 pairs at a time."""
    scores = np.empty(len(first_rows), np.float32)
    for start in range(0, len(scores), 100_000):
        block = slice(start, start + 100_000)
        scores[block] = np.sum(first[first_rows[block]] * second[second_rows[block]], axis=1)
    return scores


def search_peers(probes, probe_id, gallery, gallery_id) -> dict[str, Callable[[], float]]:
    """Rank-1 of the mated probes in one gallery with one row a subject."""
    if not installed("faiss"):
        return {}
    import faiss

    def by_faiss() -> float:
        index = faiss.IndexFlatIP(gallery.shape[1])
        index.add(gallery)
        _, best = index.search(probes, 1)
        mated = np.isin(probe_id, gallery_id)
        return float(np.mean(gallery_id[best[mated, 0]] == probe_id[mated]))

    return {"faiss (rank-1 only)": by_faiss}


def retrieval_peers(query, query_labels, gallery, gallery_labels) -> dict[str, Callable[[], float]]:
    """mAP over queries with a match; junk is left out of the gallery before."""
    from sklearn.metrics import average_precision_score

    def by_query(average_precision) -> float:
        scores = unit_rows(query) @ unit_rows(gallery).T
        values = []
        for row, identity, camera in zip(scores, *query_labels, strict=True):
            same = gallery_labels.identity == identity
            keep = ~(same & (gallery_labels.camera == camera))
            if same[keep].any():
                values.append(average_precision(same[keep], row[keep]))
        return float(np.mean(values))

    peers = {"scikit-learn, by query": lambda: by_query(average_precision_score)}
    if installed("torchmetrics"):
        import torch
        from torchmetrics.functional.retrieval import retrieval_average_precision

        def of_query(same, row) -> float:
            # Scores of 0 or less would be dropped silently; the shift keeps them, though it then rounds to float32.
            return float(retrieval_average_precision(torch.from_numpy(row + np.float64(2)), torch.from_numpy(same)))

        peers["torchmetrics, by query"] = lambda: by_query(of_query)
    if installed("pytorch_metric_learning"):
        name = "pytorch-metric-learning (cannot drop the query's camera)"
        peers[name] = _by_metric_learning(query, query_labels, gallery, gallery_labels)
    return peers


def _by_metric_learning(query, query_labels, gallery, gallery_labels) -> Callable[[], float]:
    import torch
    from pytorch_metric_learning.distances import CosineSimilarity
    from pytorch_metric_learning.utils.accuracy_calculator import AccuracyCalculator
    from pytorch_metric_learning.utils.inference import CustomKNN

    kept = np.isin(query_labels.identity, gallery_labels.identity)

    def work() -> float:
        calculator = AccuracyCalculator(
            include=("mean_average_precision",), k=None, device=torch.device("cpu"),
            knn_func=CustomKNN(CosineSimilarity()),
        )  # fmt: skip
        found = calculator.get_accuracy(
            torch.from_numpy(query[kept]), torch.from_numpy(query_labels.identity[kept]),
            torch.from_numpy(gallery), torch.from_numpy(gallery_labels.identity),
        )  # fmt: skip
        return float(found["mean_average_precision"])

    return work
