"""The kinds of FAISS index, one entry each, and the file of a saved index. All FAISS specifics of a kind are here.

Scores are inner products of unit vectors (cosines). A vector's number in the FAISS index is its row.

A saved index is one sealed safetensors file: the bytes of the FAISS index, the arrays beside it, and the index's
settings. The digest is checked before FAISS reads its bytes, so that a damaged file is never parsed.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from math import ceil
from pathlib import Path

import faiss
import numpy as np

from bctlib.base.errors import BctError
from bctlib.base.files import check_seal
from bctlib.training.tensors_file import ABOUT, as_text, read_tensors, write_tensors

POINTS_PER_CELL = 39
"""Vectors that FAISS's k-means wants for each cell of an IVF index."""
PROBED_CELLS, HITS_PER_CELL = 16, 4
"""IVF: cells that are compared at least, and hits to a cell: above 64 hits k / 4 cells are compared."""
LINKS, EF_CONSTRUCTION, EF_SEARCH, CANDIDATES_PER_HIT = 32, 80, 64, 2
"""HNSW: links of a node, and how many candidates are kept while it is built and searched: at least 2 for each hit."""


@dataclass(frozen=True)
class Kind:
    """How one kind is built, searched and changed.

    build: (dim, first vectors float32 [n, dim]) -> an empty index, trained on them if the kind needs it.
    append: (index, rows int64 [n], vectors) adds at the end.
    parameters: (index, k, selector or None, share of the vectors that it leaves) -> what a search is given. A kind that
    looks at some candidates only looks at more of them where k is large or the selector leaves vectors out.
    exact: (index, selector or None) -> (index to search, parameters) for a search that compares every vector.
    overwrite: (index, rows, vectors) puts other vectors in the place of those; None where the kind cannot: the old ones
    then stay in the index, marked dead, until it is built anew.
    """

    name: str
    about: str
    build: Callable[[int, np.ndarray], faiss.Index]
    append: Callable[[faiss.Index, np.ndarray, np.ndarray], None]
    parameters: Callable[[faiss.Index, int, faiss.IDSelector | None, float], faiss.SearchParameters]
    exact: Callable[[faiss.Index, faiss.IDSelector | None], tuple[faiss.Index, faiss.SearchParameters]]
    overwrite: Callable[[faiss.Index, np.ndarray, np.ndarray], None] | None


def _flat(dim: int, first: np.ndarray) -> faiss.Index:
    return faiss.IndexFlatIP(dim)


def _add(index: faiss.Index, rows: np.ndarray, vectors: np.ndarray) -> None:
    index.add(vectors)


def _flat_parameters(index: faiss.Index, k: int, selector: faiss.IDSelector | None, share: float):
    return faiss.SearchParameters(sel=selector)


def _flat_exact(index: faiss.Index, selector: faiss.IDSelector | None):
    return index, faiss.SearchParameters(sel=selector)


def _overwrite_flat(index: faiss.Index, rows: np.ndarray, vectors: np.ndarray) -> None:
    stored = faiss.rev_swig_ptr(index.get_xb(), index.ntotal * index.d).reshape(index.ntotal, index.d)
    stored[rows] = vectors


def cells(n: int) -> int:
    """Cells of an IVF index over n vectors: 4 times the root, but no more than k-means has points for."""
    return max(1, min(round(4 * n**0.5), n // POINTS_PER_CELL))


def _ivf(dim: int, first: np.ndarray) -> faiss.Index:
    index = faiss.index_factory(dim, f"IVF{cells(len(first))},Flat", faiss.METRIC_INNER_PRODUCT)
    index.cp.min_points_per_centroid = 1  # a single first vector is a cell of its own; no warning
    index.train(first)
    # Finds a vector by its row, so that replacing some does not read every cell.
    index.set_direct_map_type(faiss.DirectMap.Hashtable)
    return index


def _add_to_ivf(index: faiss.Index, rows: np.ndarray, vectors: np.ndarray) -> None:
    index.add_with_ids(vectors, rows)


def _ivf_parameters(index: faiss.Index, k: int, selector: faiss.IDSelector | None, share: float):
    probed = max(PROBED_CELLS, k / HITS_PER_CELL)
    return faiss.SearchParametersIVF(sel=selector, nprobe=min(index.nlist, ceil(probed / share)))


def _ivf_exact(index: faiss.Index, selector: faiss.IDSelector | None):
    return index, faiss.SearchParametersIVF(sel=selector, nprobe=index.nlist)


def _overwrite_ivf(index: faiss.Index, rows: np.ndarray, vectors: np.ndarray) -> None:
    index.remove_ids(np.ascontiguousarray(rows))  # FAISS reads an array as IDSelectorArray, all that this map allows
    index.add_with_ids(vectors, rows)


def _hnsw(dim: int, first: np.ndarray) -> faiss.Index:
    index = faiss.index_factory(dim, f"HNSW{LINKS}", faiss.METRIC_INNER_PRODUCT)
    index.hnsw.efConstruction = EF_CONSTRUCTION
    return index


def _hnsw_parameters(index: faiss.Index, k: int, selector: faiss.IDSelector | None, share: float):
    kept = max(EF_SEARCH, CANDIDATES_PER_HIT * k)
    return faiss.SearchParametersHNSW(sel=selector, efSearch=max(EF_SEARCH, min(index.ntotal, ceil(kept / share))))


def _hnsw_exact(index: faiss.Index, selector: faiss.IDSelector | None):
    return faiss.downcast_index(index.storage), faiss.SearchParameters(sel=selector)


KINDS: dict[str, Kind] = {
    kind.name: kind
    for kind in (
        Kind("flat", "every vector is compared: exact", _flat, _add, _flat_parameters, _flat_exact, _overwrite_flat),
        Kind("ivf", "the nearest of k-means' cells are compared",
             _ivf, _add_to_ivf, _ivf_parameters, _ivf_exact, _overwrite_ivf),
        Kind("hnsw", "a graph of neighbours is walked; nothing can be deleted",
             _hnsw, _add, _hnsw_parameters, _hnsw_exact, None),
    )
}  # fmt: skip


FORMAT = "bctlib-index-1"
_ARRAYS = {"items": np.int64, "classes": np.int64, "model": np.int32, "alive": np.bool_}
_ABOUT = {
    "dim": int, "kind": str, "models": list, "compatible": list, "rebuild_at": float, "rebuilds": int, "inserted": int,
}  # fmt: skip


def write_index(path: Path, about: dict, arrays: dict[str, np.ndarray], index: faiss.Index | None) -> None:
    """Write and seal. Raises BctError when the file cannot be written."""
    tensors = {name: arrays[name].astype(kind, copy=False) for name, kind in _ARRAYS.items()}
    if index is not None:
        tensors["faiss"] = faiss.serialize_index(index)
    write_tensors(path, tensors, as_text({"format": FORMAT} | about), "np")


def read_index(path: Path) -> tuple[dict, dict[str, np.ndarray], faiss.Index | None]:
    """What `write_index` wrote. Raises BctError naming the file when it is missing, damaged or something else."""
    if not path.exists():
        raise BctError(f"{path} is not there, expected a saved index")
    check_seal(path)
    try:
        metadata, arrays = read_tensors(path, "np")
        about = json.loads(metadata[ABOUT])
        if about["format"] != FORMAT:
            raise ValueError(f"its format is {about['format']!r}, expected {FORMAT!r}")
        for name, kind in _ABOUT.items():
            if not isinstance(about[name], kind):
                raise ValueError(f"its {name} is {about[name]!r}")
        index = faiss.deserialize_index(arrays.pop("faiss")) if "faiss" in arrays else None
        n = 0 if index is None else index.ntotal
        for name, kind in _ARRAYS.items():
            array = arrays[name]
            if array.dtype != kind or array.shape != (n,):
                raise ValueError(f"its {name} are {array.dtype} {array.shape}, not {np.dtype(kind)} [{n}]")
        if about["kind"] not in KINDS or (index is not None and index.d != about["dim"]):
            raise ValueError(f"its index is of kind {about['kind']!r}, dimension {about['dim']}")
    except (OSError, KeyError, TypeError, ValueError, RuntimeError) as error:
        raise BctError(f"{path} is not an index of this version ({' '.join(str(error).split())})") from error
    return about, arrays, index
