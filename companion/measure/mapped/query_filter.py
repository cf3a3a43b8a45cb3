"""A filter for queries of a compatible model, made from the frozen old classifier alone. Ours, not the paper's.

q C (C + e I)^-1, with C the second moment of the old classifier's rows: it damps directions of the query that the old
space does not use, where a new query puts energy that no old gallery item can match (`bctlib.upgrade.align.maps`).
"""

from collections.abc import Callable

import numpy as np

from bctlib.metrics.blocks import unit_rows
from bctlib.upgrade.align.maps import span_filter
from companion.measure.reid import TASK, bench_reid_protocol, retrieval
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
    return _compare(bench, query, gallery, part, _by_template, criterion)


def compare_filtered_reid(bench: Workbench, query: str, gallery: str, part: str = "test") -> list[Measurement]:
    """`compare_reid` with filtered queries, and the strength, whose mAP on validation identities is the highest."""
    return _compare(bench.for_task(TASK), query, gallery, part, _by_image, lambda measured: measured[0].value)


Measure = Callable[[Workbench, np.ndarray, np.ndarray, str], list[Measurement]]
"""Accuracies on a part of the data from the features of queries and of gallery items."""


def best_filter(bench: Workbench, query: str, gallery: str) -> np.ndarray:
    """float [d_old,d_old]: filtered queries are `queries @ matrix`, at the strength of `compare_filtered`."""
    return _best(bench, query, gallery, _by_template, criterion)[0]


def _compare(
    bench: Workbench, query: str, gallery: str, part: str, measure: Measure, judge: Callable
) -> list[Measurement]:
    matrix, strength = _best(bench, query, gallery, measure, judge)
    queries, items = bench.pair_features(query, gallery, part)
    measured = measure(bench, filtered(queries, matrix), items, part)
    return [*measured, Measurement(FILTER, STRENGTH, "", strength, len(STRENGTHS))]


def _best(
    bench: Workbench, query: str, gallery: str, measure: Measure, judge: Callable[[list[Measurement]], float]
) -> tuple[np.ndarray, float]:
    """The filter and its strength, which `judge` finds best on validation identities."""
    rows = unit_rows(bench.model(gallery).as_old().head.weight.detach().float().cpu().numpy())
    matrices = {each: span_filter(rows, rows.shape[1], each)[0] for each in STRENGTHS}
    strength = UNTUNED
    if "validation" in bench.data.parts:
        queries, items = bench.pair_features(query, gallery, "validation")
        found = {
            each: judge(measure(bench, filtered(queries, matrix), items, "validation"))
            for each, matrix in matrices.items()
        }
        strength = max(found, key=found.get)
    return matrices[strength], strength


def filtered(queries: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    """float32 [n,d_old]: queries [n,d_old] or longer, of which the first d_old elements count, times the filter."""
    return (queries[:, : len(matrix)] @ matrix).astype(np.float32)


def _by_template(bench: Workbench, queries: np.ndarray, items: np.ndarray, part: str) -> list[Measurement]:
    protocols = bench.protocols(part)
    return verification(protocols, queries, items) + identification(protocols, queries, items)


def _by_image(bench: Workbench, queries: np.ndarray, items: np.ndarray, part: str) -> list[Measurement]:
    return retrieval(bench_reid_protocol(bench, part), queries, items)


def criterion(measured: list[Measurement]) -> float:
    """The mean of the accuracies at the points of CRITERION, in per cent."""
    chosen = [row.value for row in measured if CRITERION.get(row.metric) == row.operating_point]
    return sum(chosen) / len(chosen)
