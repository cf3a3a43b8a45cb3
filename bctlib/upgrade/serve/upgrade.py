"""The steps of an upgrade, in its two forms: one index, or dual write.

    day 0         the gallery is embedded by the old model, and old queries search it
    new queries   the new model arrives
    new items     classes that the gallery did not hold are added (Sec. 2.1)
    25 % ...      this share of the day-0 classes is backfilled, in a given order
    end           all of them are backfilled

One index, for a backward-compatible model: once the new model is available it alone embeds queries and new items, the
queries search one mixed index, and a backfill replaces vectors in place.

Dual write, for a model that is not comparable with the old one: a second index is filled beside the first. Until it is
complete, the old model embeds the queries and the old index answers them. New items are embedded by both models and
written to both indexes. (Another practice searches with two embeddings per query and merges the hits by calibrated
scores: `bctlib.upgrade.serve.merging`. It is not simulated here, only counted in the costs.)
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from bctlib.upgrade.serve.live_index import LiveIndex
from bctlib.upgrade.serve.steps import ALL_DIMENSIONS, BACKFILL, DAY_0, END, NEW_ITEMS, NEW_QUERIES


@dataclass(frozen=True)
class Upgrade:
    """What an upgrade is about.

    items, classes: int64 [n], the gallery of day 0; new_items, new_classes: int64 [m], what is added after the new
    model arrived. order: the classes of day 0 in the order of backfill. old, new: ids of the models. embed: (model,
    items) -> float32 [len(items), dim of the model]. old_dim, new_dim: their dimensions. kind: of the index.
    """

    items: np.ndarray
    classes: np.ndarray
    new_items: np.ndarray
    new_classes: np.ndarray
    order: Sequence[int]
    old: str
    new: str
    embed: Callable[[str, np.ndarray], np.ndarray]
    old_dim: int
    new_dim: int
    kind: str = "flat"

    def batches(self) -> Iterator[tuple[str, np.ndarray]]:
        """(step, items to embed anew until then) for every step of the backfill, each class with all its items."""
        by_class = np.argsort(self.classes, kind="stable")
        low = np.searchsorted(self.classes[by_class], self.order, "left")
        high = np.searchsorted(self.classes[by_class], self.order, "right")
        edges = [0, *(round(share * len(self.order)) for share in BACKFILL.values())]
        for step, start, stop in zip(BACKFILL, edges, edges[1:], strict=False):
            positions = [by_class[low[each] : high[each]] for each in range(start, stop)]
            yield step, self.items[np.concatenate(positions)] if positions else self.items[:0]


@dataclass(frozen=True)
class Step:
    """The system at one moment. The indexes live on: look at them before asking for the next step.

    queries_by: the model that embeds queries; index: the one that answers; indexes: all that are held. embedded:
    images embedded for the gallery since day 0, by either model.
    """

    name: str
    queries_by: str
    index: LiveIndex
    indexes: tuple[LiveIndex, ...]
    embedded: int

    @property
    def nbytes(self) -> int:
        """Bytes of all indexes that are held."""
        return sum(index.nbytes for index in self.indexes)


def one_index(upgrade: Upgrade) -> Iterator[Step]:
    """The steps of a compatible model. Where it is wider than the old one, a last step has an index of its own width.

    That last index is made of the vectors of the backfill, if they were kept whole: nothing is embedded again.
    """
    index = _day_0(upgrade)
    step = Step(DAY_0, upgrade.old, index, (index,), 0)
    yield step
    index.declare(upgrade.new, upgrade.old)
    step = replace(step, name=NEW_QUERIES, queries_by=upgrade.new)
    yield step
    index.add(upgrade.new_items, upgrade.new_classes, upgrade.embed(upgrade.new, upgrade.new_items), upgrade.new)
    step = replace(step, name=NEW_ITEMS, embedded=len(upgrade.new_items))
    yield step
    for name, items in upgrade.batches():
        index.replace(items, upgrade.embed(upgrade.new, items), upgrade.new)
        step = replace(step, name=name, embedded=step.embedded + len(items))
        yield step
    if upgrade.new_dim > upgrade.old_dim:
        wide = LiveIndex(upgrade.new_dim, upgrade.kind)
        items, classes = np.append(upgrade.items, upgrade.new_items), np.append(upgrade.classes, upgrade.new_classes)
        wide.add(items, classes, upgrade.embed(upgrade.new, items), upgrade.new)
        yield replace(step, name=ALL_DIMENSIONS, index=wide, indexes=(wide,))


def dual_write(upgrade: Upgrade) -> Iterator[Step]:
    """The steps of an incompatible model: the old index serves until the new one is complete, and then goes."""
    old, new = _day_0(upgrade), LiveIndex(upgrade.new_dim, upgrade.kind)
    class_of = dict(zip(upgrade.items.tolist(), upgrade.classes.tolist(), strict=True))
    step = Step(DAY_0, upgrade.old, old, (old,), 0)
    yield step
    step = replace(step, name=NEW_QUERIES, indexes=(old, new))
    yield step
    for index, model in ((old, upgrade.old), (new, upgrade.new)):
        index.add(upgrade.new_items, upgrade.new_classes, upgrade.embed(model, upgrade.new_items), model)
    step = replace(step, name=NEW_ITEMS, embedded=2 * len(upgrade.new_items))
    yield step
    for name, items in upgrade.batches():
        classes = np.array([class_of[item] for item in items.tolist()], np.int64)
        new.add(items, classes, upgrade.embed(upgrade.new, items), upgrade.new)
        step = replace(step, name=name, embedded=step.embedded + len(items))
        if name == END:
            step = replace(step, queries_by=upgrade.new, index=new, indexes=(new,))
        yield step


def _day_0(upgrade: Upgrade) -> LiveIndex:
    index = LiveIndex(upgrade.old_dim, upgrade.kind)
    index.add(upgrade.items, upgrade.classes, upgrade.embed(upgrade.old, upgrade.items), upgrade.old)
    return index
