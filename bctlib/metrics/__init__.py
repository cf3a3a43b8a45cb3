"""Measures of recognition and of backward compatibility: arrays in, plain numbers out, NumPy only.

Most callers need only the names below. The modules hold more: `verification` and `identification` (scores and searches
from embeddings, lists of pairs, operating points with threshold and counts), `retrieval` (ranks of the positives),
`compatibility` (Eqs. 1, 2, 9), `backfill` (Fig. 3, orders of classes), `blocks` (unit rows, prefixes, tiles).
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
