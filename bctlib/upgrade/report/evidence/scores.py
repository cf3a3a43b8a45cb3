"""Distributions of genuine and impostor scores for each pair of models."""

from dataclasses import dataclass

import numpy as np

from bctlib.metrics.blocks import matching_pairs
from bctlib.metrics.verification import pair_scores
from bctlib.upgrade.evaluate.comparisons import Comparison
from bctlib.upgrade.report.inputs import Inputs

EDGES = np.linspace(-1, 1, 101)
MOST_PAIRS = 1_000_000


@dataclass(frozen=True)
class ScoreHistogram:
    """Shares [100] of n pairs of one kind ("genuine", "impostor") whose cosine lies between neighbouring `EDGES`."""

    query_model: str
    gallery_model: str
    kind: str
    n_pairs: int
    mean: float
    share: list[float]


def draw_pairs(inputs: Inputs, seed: int) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Rows of query and gallery of genuine and of impostor pairs: all of them, or a draw of a million."""
    rng = np.random.default_rng([seed, 1])
    wanted, enrolled = inputs.query_class, inputs.gallery_class
    rows, columns = matching_pairs(wanted, enrolled)
    valid = np.flatnonzero(rows != columns) if inputs.one_list else np.arange(len(rows))
    if len(valid) > MOST_PAIRS:
        valid = np.sort(rng.choice(valid, MOST_PAIRS, replace=False))
    n = len(wanted) * len(enrolled)
    number = np.arange(n) if n <= MOST_PAIRS else np.sort(rng.integers(n, size=MOST_PAIRS))
    first, second = number // len(enrolled), number % len(enrolled)
    strangers = wanted[first] != enrolled[second]
    return {"genuine": (rows[valid], columns[valid]), "impostor": (first[strangers], second[strangers])}


def histograms(comparison: Comparison, drawn: dict[str, tuple[np.ndarray, np.ndarray]]) -> list[ScoreHistogram]:
    """Of one comparison (of one width), over the pairs of `draw_pairs`."""
    found = []
    for kind, (rows, columns) in drawn.items():
        scores = pair_scores(comparison.query, rows, comparison.gallery, columns)
        counts, _ = np.histogram(np.clip(scores, -1, 1), EDGES)
        found.append(
            ScoreHistogram(*comparison.models, kind, len(scores), float(scores.mean()), (counts / len(scores)).tolist())
        )
    return found
