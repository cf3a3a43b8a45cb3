"""Measures of recognition and of backward compatibility: arrays in, plain numbers out, NumPy only.

The names below are the whole of what most callers need; the modules hold the rest: `features` (unit rows, prefix),
`verification` and `identification` (scores and searches from embeddings, operating points with their threshold and
counts), `pairs` (scores of a list of pairs), `retrieval` (ranks of the positives), `compatibility` (Eqs. 1, 2, 9),
`backfill` (Fig. 3), `backfill_orders` (which classes first).
Bad input raises ValueError with one sentence that names the argument.
"""

from bctlib.metrics.backfill import backfill_curve
from bctlib.metrics.compatibility import absolute_gain, is_compatible, strict_criterion, update_gain
from bctlib.metrics.identification import rank_k, tpir_at_fpir
from bctlib.metrics.retrieval import cmc, mean_average_precision
from bctlib.metrics.verification import tar_at_far

__all__ = [
    "absolute_gain",
    "backfill_curve",
    "cmc",
    "is_compatible",
    "mean_average_precision",
    "rank_k",
    "strict_criterion",
    "tar_at_far",
    "tpir_at_fpir",
    "update_gain",
]
