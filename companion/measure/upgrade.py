"""A live upgrade measured at every step: accuracy, recall of the approximate indexes, and what is held and embedded.

Accuracy is that of the first hit. Searches for classes of day 0 (and, apart, for added ones) are mated, the probes of
the other gallery are non-mated and set the threshold anew at each step. Values are means over G1 and G2.
"""

from collections.abc import Iterable, Iterator
from itertools import chain

import numpy as np

from companion.backfill_curves import LARGEST, STRICT_FPIR, TWO_THRESHOLDS, tpir_name
from companion.measure.templates import FPIRS, Measurement
from companion.measure.live_upgrade_galleries import Side, gallery_side
from companion.live_upgrade_names import ADDED, APPROXIMATE, BYTES, EMBEDDED, FLAT, INSERTED, RANDOM, RANK, RECALL_1, RECALL_10, TOMBSTONES, upgrade_name
from companion.measure.live_upgrade_prototypes import compare_prototypes
from companion.workbench import Workbench
from bctlib.metrics.identification import rank_k, tpir_at_fpir
from bctlib.metrics.operating_points import thresholds
from bctlib.upgrade.serve.latency import one_thread
from bctlib.upgrade.serve.live_index import Hits
from bctlib.upgrade.serve.recall import recall
from bctlib.upgrade.serve.steps import BACKFILL, STEPS
from bctlib.upgrade.serve.upgrade import Step

HITS, EVERY = 10, 10
"""Recall is that of the first HITS hits of every EVERY-th query."""


def compare_upgrade(bench: Workbench, query: str, gallery: str, part: str = "test") -> list[Measurement]:
    """The upgrade from `gallery` to `query`: in one index where it was trained for that model, else by dual write.

    Accuracy is measured in flat indexes. Of a compatible model also with the largest classes backfilled first, from
    the first backfill on, and what the other kinds of index find of what the flat one finds.
    """
    sides = tuple(gallery_side(bench, number, query, gallery, part) for number in (0, 1))
    found = _means(upgrade_name(FLAT, RANDOM), (_of_flat(side, RANDOM) for side in sides))
    if sides[0].compatible:
        found += _means(upgrade_name(FLAT, LARGEST), (_of_flat(side, LARGEST, tuple(BACKFILL)) for side in sides))
        for kind in APPROXIMATE:
            found += _means(upgrade_name(kind, RANDOM), (_of_kind(side, kind) for side in sides))
        found += compare_prototypes(bench, query, gallery, part)
    return found


Values = Iterator[tuple[str, float, int]]
"""(metric, value, number behind it)."""


def _means(protocol: str, of_sides: Iterable[Iterable[tuple[str, Iterable]]]) -> list[Measurement]:
    """Mean over the galleries of what was measured at each step."""
    values: dict[tuple[str, str], list[tuple[float, int]]] = {}
    with one_thread():
        for steps in of_sides:
            for step, measured in steps:
                for metric, value, n_behind in measured:
                    values.setdefault((step, metric), []).append((value, n_behind))
    return [
        Measurement(protocol, metric, step, float(np.mean([value for value, _ in each])), min(n for _, n in each))
        for (step, metric), each in values.items()
    ]


def _of_flat(side: Side, order: str, names: tuple[str, ...] = STEPS) -> Iterator[tuple[str, Values]]:
    for step in side.steps(FLAT, order):
        if step.name in names:
            yield step.name, chain(_held(step), _accuracies(side, step))


def _of_kind(side: Side, kind: str) -> Iterator[tuple[str, Values]]:
    """Every step of this kind of index beside the same step of a flat one."""
    for step, flat in zip(side.steps(kind), side.steps(FLAT), strict=True):
        queries = side.probes[step.queries_by][::EVERY]
        found, exact = (each.index.search(queries, step.queries_by, HITS).items for each in (step, flat))
        first, ten = recall(found, exact)
        recalls = (RECALL_1, 100 * first, len(queries)), (RECALL_10, 100 * ten, len(queries))
        yield step.name, chain(_held(step), recalls)


def _held(step: Step) -> Values:
    n = sum(len(index) for index in step.indexes)
    yield BYTES, step.nbytes, n
    yield EMBEDDED, step.embedded, n
    yield INSERTED, sum(index.inserted for index in step.indexes), n
    yield TOMBSTONES, sum(index.tombstones for index in step.indexes), n


def _accuracies(side: Side, step: Step) -> Values:
    """Rank 1 and TPIR of the first hit, for classes of day 0 and, once they are there, for added ones.

    Also with a threshold for the vectors of each model (notebook 05), which their ids make possible: each model may
    cause a share of the allowed false positives that is its share of the vectors, and hits are ranked by how far they
    are above their model's threshold.
    """
    nonmated = np.flatnonzero(~np.isin(side.probe_class, side.templates.identity))
    hits = step.index.search(side.probes[step.queries_by], step.queries_by)
    best, right = hits.scores[:, 0], hits.classes[:, 0] == side.probe_class
    accepted = _by_two_thresholds(side, step, hits, nonmated)
    upgrade, held = side.upgrade(), step.index.classes
    for ending, classes in (("", upgrade.classes), (ADDED, upgrade.new_classes)):
        mated = np.flatnonzero(np.isin(side.probe_class, np.intersect1d(classes, held)))
        if len(mated) == 0:
            continue
        ranks = np.where(right[mated], 1, 2)
        yield RANK + ending, 100 * rank_k(ranks, 1), len(mated)
        for fpir in FPIRS[1:]:
            if fpir * len(nonmated) >= 1:
                value = tpir_at_fpir(best[mated], ranks, best[nonmated], fpir)
                yield tpir_name(fpir) + ending, 100 * value, len(nonmated)
        if STRICT_FPIR * len(nonmated) >= 1:
            yield TWO_THRESHOLDS + ending, 100 * float(accepted[mated].mean()), len(nonmated)


def _by_two_thresholds(side: Side, step: Step, hits: Hits, nonmated: np.ndarray) -> np.ndarray:
    """bool [q], whether the first hit is right and above its model's threshold.

    hits: those of the whole index, which are those of its one model where there is only one.
    """
    above, right = [], []
    for model, count in step.index.models.items():
        if count < len(step.index):
            hits = step.index.search(side.probes[step.queries_by], step.queries_by, made_by=model)
        share = STRICT_FPIR * count / len(step.index)
        (threshold, _) = thresholds(hits.scores[nonmated, 0], [share], name="non-mated")[0]
        above.append(hits.scores[:, 0] - threshold)
        right.append(hits.classes[:, 0] == side.probe_class)
    first = np.argmax(above, axis=0)
    queries = np.arange(len(first))
    return (np.array(above)[first, queries] > 0) & np.array(right)[first, queries]
