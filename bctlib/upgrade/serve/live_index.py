"""A search index that stays in service while the model changes: every vector carries the id of the model that made it.

    from bctlib.upgrade.serve.live_index import LiveIndex

    index = LiveIndex(128, kind="hnsw")
    index.add(items, classes, old_vectors, "old")
    index.declare("new", "old")                      # without this the next lines are refused
    index.search(new_queries, "new", k=5)
    index.replace(items[:100], new_vectors, "new")   # a backfill, little by little

Not for several threads at once.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import faiss
import numpy as np

from bctlib.base.errors import BctError
from bctlib.base.files import as_array
from bctlib.metrics.blocks import unit_rows
from bctlib.upgrade.serve.comparable_models import ComparableModels, check_map, model_id
from bctlib.upgrade.serve.item_numbers import NOTHING, check_distinct, whole_numbers
from bctlib.upgrade.serve.kinds import KINDS, read_index, write_index

if TYPE_CHECKING:
    from bctlib.upgrade.align import Map

REBUILD_AT = 1 / 3
"""Share of tombstones above which an index that cannot delete is rebuilt."""


@dataclass(frozen=True)
class Hits:
    """What q queries found, best first.

    items, classes: int64 [q, k]; scores: float32 [q, k], cosines; made_by: str [q, k], the model of each vector. Where
    fewer than k vectors were found -1, -1, -inf and "".
    """

    items: np.ndarray
    classes: np.ndarray
    scores: np.ndarray
    made_by: np.ndarray


class LiveIndex:
    """Unit vectors of `dim` elements in a FAISS index, with item, class and model of each.

    kind: "flat" (exact), "ivf" or "hnsw" (`bctlib.upgrade.serve.kinds`). compatible: {new: old}, which models may be
    compared; vectors of other pairs cannot lie in one index. Longer embeddings are cut to their first `dim` elements
    and normalised again (Sec. 3.6); keep the whole ones elsewhere if an index of their own width may follow.

    An IVF index takes its cells from the vectors that are added first: add the day's gallery in one call. HNSW cannot
    delete: a replaced vector stays in the graph as a tombstone, which costs its memory and part of every search, until
    `rebuild` inserts all living vectors into a new graph; this happens automatically when tombstones are more than
    `rebuild_at` of all nodes. `tombstones`, `rebuilds` and `inserted` count it. Equal vectors link to each other only
    and hide the rest of the graph where they are many: with 1,000 equal ones among 10,000 (the embedding of a blank
    image, say) recall fell from 1.00 to 0.81 at k = 10; up to 50 equal ones did no harm. "flat" and "ivf" have no
    such loss.
    Raises BctError for an unknown kind or a dimension below 1.
    """

    def __init__(
        self,
        dim: int,
        kind: str = "flat",
        compatible: Mapping[str, str | Iterable[str]] | None = None,
        rebuild_at: float = REBUILD_AT,
    ):
        if kind not in KINDS:
            raise BctError(f"index kind is {kind!r}, expected one of {', '.join(KINDS)}")
        if not isinstance(dim, int | np.integer) or dim < 1:
            raise BctError(f"dim of the index is {dim!r}, expected a whole number of 1 or more")
        if not 0 < rebuild_at <= 1:
            raise BctError(f"rebuild_at is {rebuild_at!r}, expected a share above 0 and up to 1")
        self.dim, self.kind, self.rebuild_at = int(dim), KINDS[kind], float(rebuild_at)
        self.comparable = ComparableModels(compatible)
        self.rebuilds = 0
        self.inserted = 0
        """Vectors that were put into the FAISS index so far: added, replaced, or moved by a rebuild."""
        self._maps: dict[tuple[str, str], Map] = {}
        self._index: faiss.Index | None = None
        self._names: list[str] = []
        self._rows: dict[int, int] = {}
        self._items, self._classes = np.empty(0, np.int64), np.empty(0, np.int64)
        self._model, self._alive = np.empty(0, np.int32), np.empty(0, bool)

    def __len__(self) -> int:
        """Number of items."""
        return len(self._rows)

    @property
    def models(self) -> dict[str, int]:
        """{model: number of vectors that it made}, tombstones left out, in order of first use."""
        return self._held(self._alive)

    @property
    def tombstones(self) -> int:
        """Replaced vectors that an HNSW graph still holds."""
        return len(self._alive) - len(self._rows)

    @property
    def nbytes(self) -> int:
        """Bytes of the index as FAISS would write it, and of the item, class and model of each vector."""
        arrays = sum(each.nbytes for each in (self._items, self._classes, self._model, self._alive))
        return arrays + (0 if self._index is None else faiss.serialize_index(self._index).nbytes)

    def declare(self, new: str, old: str, map: "Map | None" = None) -> None:
        """From now on the two models' vectors may be compared and mixed.

        map: from new to old (`bctlib.upgrade.align`). Queries of `new` are then mapped before they search vectors of
        `old`, and nothing may be mixed; a saved index holds no map. Raises BctError for other models, the wrong
        direction or fewer dimensions, and for a midpoint, which needs the old model's queries too.
        """
        if map is None:
            self.comparable.declare(new, old)
            return
        check_map(map, new, old, self.dim)
        self._maps[new, old] = map

    def keep_apart(self, new: str, old: str) -> None:
        """From now on vectors of both models may lie here, though they are not comparable: each search names `made_by`.

        `bctlib.upgrade.serve.merging` merges what the two find. A saved index does not hold this: say it again.
        """
        self.comparable.keep_apart(new, old)

    @property
    def classes(self) -> np.ndarray:
        """int64, sorted: every class that has items."""
        return np.unique(self._classes[self._alive])

    def items_of(self, class_id: int) -> np.ndarray:
        """int64, sorted: the items of a class, which is what has to be embedded to backfill it."""
        return np.sort(self._items[self._alive & (self._classes == class_id)])

    def add(self, items, classes, vectors, model: str) -> None:
        """Add new items to the index.

        items, classes: whole numbers [n] from 0 to 2^63 - 1; vectors: float [n, dim or more], of any norm; model: what
        made them. Raises BctError, and leaves the index as it was, for other items and classes, for an item that is
        there already or twice, for vectors that are too short or not finite, and for a model that may not be compared
        with those whose vectors are there.
        """
        items = whole_numbers("items", items)
        classes = whole_numbers("classes", classes, len(items))
        vectors = self._prepared(vectors, "vectors", len(items))
        self.comparable.check_mixing(model_id(model), self.models)
        check_distinct(items)
        known = next((item for item in items.tolist() if item in self._rows), None)
        if known is not None:
            raise BctError(f"item {known} is in the index already; replace() gives it another vector")
        self._append(items, classes, vectors, np.full(len(items), self._code(model), np.int32))

    def replace(self, items, vectors, model: str) -> None:
        """Replace the vectors of items in the index, as a backfill does; item and class stay.

        Raises BctError as `add`, and for an item that is not in the index. Only the remaining vectors are checked: an
        incompatible model may replace all vectors in one call, but not little by little. Otherwise use a second index.
        """
        items = whole_numbers("items", items)
        vectors = self._prepared(vectors, "vectors", len(items))
        check_distinct(items)
        unknown = next((item for item in items.tolist() if item not in self._rows), None)
        if unknown is not None:
            raise BctError(f"item {unknown} is not in the index; add() puts it there")
        rows = np.array([self._rows[item] for item in items.tolist()], np.int64)
        self.comparable.check_mixing(model_id(model), self._held(_without(self._alive, rows)))
        if len(items) == 0:
            return
        code = self._code(model)
        if self.kind.overwrite is not None:
            self.kind.overwrite(self._index, rows, vectors)
            self._model[rows] = code
            self.inserted += len(rows)
            return
        classes = self._classes[rows]
        self._alive[rows] = False
        self._append(items, classes, vectors, np.full(len(items), code, np.int32))
        if self.tombstones > self.rebuild_at * len(self._alive):
            self.rebuild()

    def search(self, queries, model: str, k: int = 1, made_by: str | None = None) -> Hits:
        """The k items with the highest cosines for each query; all there are where the index holds fewer than k.

        queries: float [q, dim or more], embedded by `model`. made_by: only vectors of this model are searched.
        "ivf" and "hnsw" may miss some of the best, but never give fewer: a query that they find too few for is compared
        with every vector.
        Raises BctError for a model that may not be compared with what is searched, for a `made_by` without vectors,
        and for queries that are too short or not finite.
        """
        held = self.models
        if made_by is not None:
            if made_by not in held:
                raise BctError(f"no vector in this index is by {made_by!r}, only by {', '.join(held) or 'no model'}")
            held = {made_by: held[made_by]}
        mapped = self._maps.get((model_id(model), next(iter(held)))) if len(held) == 1 else None
        if mapped is None:
            self.comparable.check_search(model, held)
        else:
            queries = mapped.apply(queries, model, next(iter(held)))
        queries = self._prepared(queries, "queries")
        if not isinstance(k, int | np.integer) or isinstance(k, bool) or k < 1:
            raise BctError(f"k is {k!r}, expected a whole number of 1 or more")
        k = int(k)  # FAISS takes no whole number of NumPy's
        if self._index is None or len(queries) == 0:
            shape = len(queries), k
            return self._hits(np.full(shape, -np.inf, np.float32), np.full(shape, NOTHING, np.int64))
        wanted = self._alive if made_by is None else self._alive & (self._model == self._names.index(made_by))
        bits = np.packbits(wanted, bitorder="little")  # FAISS holds a reference only, so this must stay alive
        selector = None if wanted.all() else faiss.IDSelectorBitmap(bits)
        parameters = self.kind.parameters(self._index, k, selector, float(wanted.mean()))
        scores, rows = _search(self._index, queries, k, parameters)
        short = np.flatnonzero(rows[:, min(k, np.count_nonzero(wanted)) - 1] < 0)
        if len(short):  # the graph or the compared cells gave too few vectors
            whole, parameters = self.kind.exact(self._index, selector)
            scores[short], rows[short] = _search(whole, queries[short], k, parameters)
        return self._hits(scores, rows)

    def rebuild(self) -> None:
        """Rebuild the FAISS index from the living vectors: without tombstones, and with IVF cells that fit them."""
        if self._index is None:
            return
        rows = np.flatnonzero(self._alive)
        vectors, kept = self._index.reconstruct_batch(rows), (self._items[rows], self._classes[rows], self._model[rows])
        self._index = None
        self._items, self._classes = np.empty(0, np.int64), np.empty(0, np.int64)
        self._model, self._alive = np.empty(0, np.int32), np.empty(0, bool)
        self.rebuilds += 1
        self._append(kept[0], kept[1], vectors, kept[2])

    def contents(self) -> dict[str, np.ndarray]:
        """The content, sorted by item: items, classes int64 [n], made_by str [n], vectors float32 [n, dim]."""
        rows = np.flatnonzero(self._alive)
        rows = rows[np.argsort(self._items[rows])]
        vectors = np.empty((0, self.dim), np.float32) if len(rows) == 0 else self._index.reconstruct_batch(rows)
        made_by = np.array(self._names or [""])[self._model[rows]]
        return {"items": self._items[rows], "classes": self._classes[rows], "made_by": made_by, "vectors": vectors}

    def save(self, path: Path | str) -> None:
        """Write the index to one file, which appears when it is complete (`bctlib.base.files.seal`)."""
        arrays = {"items": self._items, "classes": self._classes, "model": self._model, "alive": self._alive}
        about = {
            "dim": self.dim, "kind": self.kind.name, "models": self._names, "compatible": self.comparable.pairs,
            "rebuild_at": self.rebuild_at, "rebuilds": self.rebuilds, "inserted": self.inserted,
        }  # fmt: skip
        write_index(Path(path), about, arrays, self._index)

    @classmethod
    def load(cls, path: Path | str) -> "LiveIndex":
        """Read a saved index. Raises BctError naming the file when it is unfinished, damaged or something else."""
        about, arrays, faiss_index = read_index(Path(path))
        index = cls(about["dim"], about["kind"], rebuild_at=about["rebuild_at"])
        for one, other in about["compatible"]:
            index.declare(one, other)
        index.rebuilds, index.inserted, index._names = about["rebuilds"], about["inserted"], list(about["models"])
        index._items, index._classes = arrays["items"], arrays["classes"]
        index._model, index._alive, index._index = arrays["model"], arrays["alive"], faiss_index
        living = np.flatnonzero(index._alive)
        index._rows = dict(zip(index._items[living].tolist(), living.tolist(), strict=True))
        return index

    def _append(self, items: np.ndarray, classes: np.ndarray, vectors: np.ndarray, model: np.ndarray) -> None:
        if len(items) == 0:
            return
        if self._index is None:
            self._index = self.kind.build(self.dim, vectors)
        rows = len(self._items) + np.arange(len(items))
        self.kind.append(self._index, rows, vectors)
        self._items, self._classes = np.append(self._items, items), np.append(self._classes, classes)
        self._model, self._alive = np.append(self._model, model), np.append(self._alive, np.ones(len(items), bool))
        self._rows.update(zip(items.tolist(), rows.tolist(), strict=True))
        self.inserted += len(items)

    def _held(self, rows: np.ndarray) -> dict[str, int]:
        counts = np.bincount(self._model[rows], minlength=len(self._names))
        return {name: int(count) for name, count in zip(self._names, counts, strict=True) if count}

    def _code(self, model: str) -> int:
        if model not in self._names:
            self._names.append(model)
        return self._names.index(model)

    def _prepared(self, vectors, name: str, n: int | None = None) -> np.ndarray:
        """float32 [n, dim] of norm 1; a row of zeros stays zeros and scores 0."""
        vectors = as_array(name, vectors)
        if vectors.ndim != 2 or vectors.dtype.kind not in "fiu" or (n is not None and len(vectors) != n):
            rows = "n" if n is None else n
            raise BctError(f"{name}: expected real numbers of shape [{rows}, {self.dim}], got {vectors.dtype} "
                           f"{list(vectors.shape)}")  # fmt: skip
        if vectors.shape[1] < self.dim:
            raise BctError(f"{name} have {vectors.shape[1]} elements, expected at least the index's {self.dim}")
        try:
            return unit_rows(vectors[:, : self.dim], name)
        except ValueError as error:
            raise BctError(str(error)) from error

    def _hits(self, scores: np.ndarray, rows: np.ndarray) -> Hits:
        found = rows >= 0
        if len(self._items) == 0:
            return Hits(rows, rows.copy(), scores, np.full(rows.shape, ""))
        items, classes = (np.where(found, each[rows], NOTHING) for each in (self._items, self._classes))
        made_by = np.where(found, np.array(self._names)[self._model[rows]], "")
        return Hits(items, classes, np.where(found, scores, np.float32(-np.inf)), made_by)


def _search(index: faiss.Index, queries: np.ndarray, k: int, parameters: faiss.SearchParameters):
    """(scores float32 [q, k], rows int64 [q, k]) by FAISS; -1 where no vector was found."""
    # After an import of faiss.contrib.torch_utils, the method named `search` takes no parameters.
    return getattr(index, "search_numpy", index.search)(queries, k, params=parameters)


def _without(alive: np.ndarray, rows: np.ndarray) -> np.ndarray:
    alive = alive.copy()
    alive[rows] = False
    return alive
