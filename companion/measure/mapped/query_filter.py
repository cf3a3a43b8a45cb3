"""A filter for queries of a compatible model, made from the frozen old classifier alone. Ours, not the paper's.

q C (C + e I)^-1, with C the second moment of the old classifier's rows: it damps directions of the query that the old
space does not use, where a new query puts energy that no old gallery item can match (`bctlib.upgrade.align.maps`).
"""

from functools import partial

import numpy as np

from bctlib.metrics.blocks import unit_rows
from bctlib.upgrade.align.maps import span_filter
from companion.measure.templates import Measurement, identification, verification
from companion.workbench import Workbench

STRENGTHS = (0.0, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0)
UNTUNED = 1.0
"""The strength at paper scale, whose data have no validation identities: e is the mean eigenvalue of C."""
STRENGTH, FILTER = "strength of the filter", "filter"
CRITERION = {"TAR@FAR": 1e-4, "TPIR@FPIR": 1e-2}
"""The strict points whose mean on validation identities chooses the strength, for each pair."""


def compare_filtered(bench: Workbench, query: str, gallery: str, part: str = "test") -> list[Measurement]:
    """Accuracies of (query model, gallery model) with filtered queries, and the strength that was used.

    Lengths are kept, as an image weighs by its length in a template: strength 0 changes nothing in the span of the
    head, so that the difference to plain queries is the filter's alone. The strength is the one of STRENGTHS with the
    highest mean accuracy of this pair on validation identities, UNTUNED where there are none. Raises BctError if the
    gallery model comes without its head.
    """
    rows = unit_rows(bench.model(gallery).as_old().head.weight.detach().float().cpu().numpy())
    measured = partial(_measured, bench, query, gallery, rows)
    strength = UNTUNED
    if "validation" in bench.data.parts:
        strength = max(STRENGTHS, key=lambda each: criterion(measured(each, "validation")))
    return [*measured(strength, part), Measurement(FILTER, STRENGTH, "", strength, len(STRENGTHS))]


def _measured(
    bench: Workbench, query: str, gallery: str, rows: np.ndarray, strength: float, part: str
) -> list[Measurement]:
    queries, items = bench.pair_features(query, gallery, part)
    matrix, _ = span_filter(rows, rows.shape[1], strength)
    filtered = (queries @ matrix).astype(np.float32)
    protocols = bench.protocols(part)
    return verification(protocols, filtered, items) + identification(protocols, filtered, items)


def criterion(measured: list[Measurement]) -> float:
    """The mean of the accuracies at the points of CRITERION, in per cent."""
    chosen = [row.value for row in measured if CRITERION.get(row.metric) == row.operating_point]
    return sum(chosen) / len(chosen)
