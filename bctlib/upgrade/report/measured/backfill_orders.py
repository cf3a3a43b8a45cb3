"""Backfill searches in several orders of the same classes, from one product of queries and gallery.

As `bctlib.metrics.backfill.backfill_searches` for each order. The maxima over the templates of a class do not depend on
the order: they are taken once, and each order then arranges classes instead of templates.
"""

from collections.abc import Iterator

import numpy as np

from bctlib.base import progress
from bctlib.metrics.backfill import BackfillSearches, places
from bctlib.metrics.blocks import ranges, row_blocks, tile_edges, tile_of, unit_rows
from bctlib.upgrade.report.inputs import Inputs


def searches_of_orders(inputs: Inputs, orders: list[np.ndarray], points: int) -> Iterator[BackfillSearches]:
    """The searches of new queries along each order of the gallery's classes (int codes), with `points` points each."""
    old, new = inputs.sides.gallery.array, inputs.sides.new_gallery.array
    query, wanted, enrolled = inputs.sides.query.array, inputs.query_class, inputs.gallery_class
    by_class = np.argsort(enrolled, kind="stable")
    names, first, of_row = np.unique(enrolled[by_class], return_index=True, return_inverse=True)
    cuts = np.round(np.linspace(0, 1, points) * len(names)).astype(np.int64)
    placed = [places(names, names, order) for order in orders]
    # A class lies in segment s of an order where s cuts are at or before its place: from point s on it is new.
    segments = [np.searchsorted(cuts, place, side="right") for place in placed]
    low, high = (np.searchsorted(enrolled[by_class], wanted, side) for side in ("left", "right"))
    at_itself = np.full(len(query), -1) if inputs.itself is None else np.argsort(by_class)[inputs.itself]
    mates = np.full((2, len(query)), -np.inf, np.float32)  # among the new templates, and among the old
    maxima = np.full((len(orders), 2, points + 1, len(query)), -np.inf, np.float32)
    edges = tile_edges(enrolled[by_class], new.shape[1])
    with progress.task("backfill in random orders", len(edges) - 1, unit="part of the gallery", every_s=10) as task:
        for number, (start, stop) in enumerate(zip(edges, edges[1:], strict=False), 1):
            held = slice(*np.searchsorted(first, [start, stop]))
            sizes = np.diff(first[held] - start, append=stop - start)
            by_size = np.argsort(-sizes, kind="stable")
            classes = first[held][by_size] - start, sizes[by_size]
            arranged = [_by_segment(each[held][by_size]) for each in segments]
            for side, (gallery, name) in enumerate(((new, "new_gallery"), (old, "gallery"))):
                tile = tile_of(gallery, name, by_class, start, stop)
                for block in row_blocks(len(query), 2 * (stop - start)):
                    # Templates down, queries across: maxima over templates then run along contiguous memory.
                    scores = tile @ unit_rows(query[:, : tile.shape[1]], "query", block).T
                    itself = np.flatnonzero((at_itself[block] >= start) & (at_itself[block] < stop))
                    scores[at_itself[block][itself] - start, itself] = -np.inf
                    own = [np.clip(each[block] - start, 0, stop - start) for each in (low, high)]
                    columns, rows = ranges(*own)
                    np.maximum.at(mates[side, block], columns, scores[rows, columns])
                    scores[rows, columns] = -np.inf
                    of_classes = _class_maxima(scores, *classes)
                    for order, (members, present, begins) in enumerate(arranged):
                        found = _segment_maxima(of_classes, members, begins)
                        maxima[order, side, present, block] = np.maximum(maxima[order, side, present, block], found)
            task.step(number)
    mated = high - low > (at_itself >= 0)
    has_class = high > low
    of_query = of_row[np.where(has_class, low, 0)]
    for place, (of_new, of_old) in zip(placed, maxima, strict=True):
        is_new = np.where(has_class, place[of_query], -1)[:, None] < cuts
        before = np.maximum.accumulate(of_new, axis=0)[:-1]
        after = np.maximum.accumulate(of_old[::-1], axis=0)[::-1][1:]
        mate = np.where(is_new, mates[0][:, None], mates[1][:, None])
        yield BackfillSearches(cuts / len(names), mated, mate, is_new, before.T, after.T)


def _class_maxima(scores: np.ndarray, first: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    """The maximum over the rows first to first + size of each class [c], the largest class first: [t, q] -> [c, q]."""
    maxima = scores[first]
    for nth in range(1, int(sizes[0])):
        n = int(np.searchsorted(-sizes, -nth, side="left"))  # classes with more than nth rows
        np.maximum(maxima[:n], scores[first[:n] + nth], out=maxima[:n])
    return maxima


def _by_segment(segments: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Classes in the order of their segments, the segments that occur, and where each begins among the classes."""
    classes = np.argsort(segments, kind="stable")
    present, begins = np.unique(segments[classes], return_index=True)
    return classes, present, begins


def _segment_maxima(scores: np.ndarray, classes: np.ndarray, begins: np.ndarray) -> np.ndarray:
    """The maximum over the classes [c] of each segment: scores [c, q] -> [segments, q]."""
    ends = [*begins[1:].tolist(), len(classes)]
    return np.array([scores[classes[a:b]].max(axis=0) for a, b in zip(begins.tolist(), ends, strict=True)])
