"""Distributions of genuine and impostor scores, kept as results so that the figure can be redrawn without models."""

import numpy as np

from companion.measure.templates import pair_scores
from companion.pairs import Pair, pairs_at
from companion.results import save_rows
from companion.measure.run import train_missing
from companion.workbench import Workbench

TABLE = "score_distributions"
EDGES = np.linspace(-1, 1, 101)


def save_score_distributions(bench: Workbench, pairs: tuple[Pair, ...], table: str = TABLE, lam: float = 1.0) -> None:
    """Histogram the cosines of all genuine and impostor template pairs of the 1:1 protocol, 100 bins over [-1, 1].

    One row per bin that is not empty: metric `genuine` or `impostor`, operating point the bin's centre, value the
    share of pairs in it in per cent, n_behind the number of pairs. table: where they are kept. lam: of the run whose
    models are compared; a pair whose training diverges is said and left out.
    """
    protocols = bench.protocols()
    centres = (EDGES[:-1] + EDGES[1:]) / 2
    rows, pairs = [], pairs_at(pairs, lam)
    diverged = train_missing(bench, tuple(dict.fromkeys(name for pair in pairs for name in pair)))
    for query, gallery in (pair for pair in pairs if not diverged & {*pair}):
        scores = pair_scores(protocols, *bench.pair_features(query, gallery), keep=None)
        about = bench.about(query, gallery)
        for metric, values in (("genuine", scores.genuine), ("impostor", scores.impostor)):
            counts, _ = np.histogram(np.clip(values, -1, 1), EDGES)
            rows += [
                about | {
                    "protocol": "verification", "metric": metric, "operating_point": centre,
                    "value": 100 * count / len(values), "n_behind": len(values),
                }
                for centre, count in zip(centres, counts, strict=True)
                if count
            ]  # fmt: skip
    save_rows(rows, bench.scale, table)
