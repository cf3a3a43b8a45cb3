"""A fitted map: what it is for, and how it is applied, saved and loaded."""

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from bctlib.base.errors import BctError
from bctlib.metrics.blocks import row_blocks
from bctlib.upgrade.align.files import DIRECTION, digest_of_map, read_map, write_map
from bctlib.upgrade.align.inputs import Source, open_rows, unit_features


def check_ids(new: str, old: str) -> None:
    """Raises BctError unless these are the ids of two models."""
    for which, name in (("new", new), ("old", old)):
        if not isinstance(name, str) or not name.strip():
            raise BctError(f"the id of the {which} model is {name!r}: expected text, such as the key of its recipe")
    if new == old:
        raise BctError(f"new and old model have the same id {new!r}: expected two models")


@dataclass(frozen=True, eq=False)
class Map:
    """Leads features of the model `new` into the space of the model `old`, and not back.

    matrix float32 [d_new, d_old], bias float32 [d_old]. new, old: ids of the models. pairs: how many it was fitted to
    (0: a span filter, made from the old head). strength: as in `bctlib.upgrade.align.maps`, None where the kind has
    none. chosen_on: the held-out pairs that the strength was chosen on; None where it was given. A midpoint is the map
    of kind `of`, of which weight `weight` is taken and of the old query the rest.
    """

    kind: str
    new: str
    old: str
    pairs: int
    matrix: np.ndarray = field(repr=False)
    bias: np.ndarray = field(repr=False)
    strength: float | None = None
    chosen_on: str | None = None
    of: str | None = None
    weight: float | None = None

    @property
    def digest(self) -> str:
        """sha256 of what the map is and does."""
        return digest_of_map(self._about(), self._arrays())

    def check(self, model: str, gallery: str | None = None) -> None:
        """Raises BctError unless the map leads from features of `model` into the space of `gallery`, if that is given.

        Both directions have the same shape where d_new = d_old, so that only ids tell them apart.
        """
        way = f"this map leads from {self.new!r} to {self.old!r}"
        if model == self.old:
            raise BctError(f"{way} and not back: features of {model!r} are in the old space already")
        if model != self.new:
            raise BctError(f"{way}: features of {model!r} cannot be mapped by it")
        if gallery is not None and gallery != self.old:
            raise BctError(f"{way}: a gallery of {gallery!r} cannot be searched through it")

    def apply(
        self, features: Source, model: str, gallery: str | None = None, old_queries: Source | None = None
    ) -> np.ndarray:
        """Features of `model` in the old space: float32 [n, d_new] -> float32 [n, d_old].

        features: an array or a .npy file. model: the id of the model that made them; gallery: of the model that made
        what they will be compared with. The formula is |x| (x^ matrix + bias) with x^ = x / |x|: maps are fitted to
        unit rows, and a row keeps its length as a factor, as a weight that it may have in a template. Map images
        before templates are averaged: a map with a bias does not commute with it.

        A midpoint is w m^ + (1 - w) o^, m^ the mapped row and o^ the row of old_queries [n, d_old], both at unit
        length. Raises BctError for other models, other dimensions, NaN, infinite values and rows of zeros.
        """
        self.check(model, gallery)
        opened, old = open_rows("features", features), None
        self._check_dimensions(opened, self.matrix.shape[0], self.new)
        if self.weight is not None and old_queries is None:
            raise BctError("a midpoint map needs old_queries too: the old model's features of the same queries")
        if old_queries is not None:
            if self.weight is None:
                raise BctError(f"a map of kind {self.kind} takes no old_queries: only a midpoint does")
            old = open_rows("old_queries", old_queries, len(opened.array), f"row of {opened.label}")
            self._check_dimensions(old, self.matrix.shape[1], self.old)
        mapped = np.empty((len(opened.array), self.matrix.shape[1]), np.float32)
        for rows in row_blocks(len(mapped), max(self.matrix.shape)):
            unit = unit_features(opened, rows)
            mapped[rows] = unit @ self.matrix + self.bias
            if old is not None:
                mapped[rows] = self.weight * _unit(mapped[rows]) + (1 - self.weight) * unit_features(old, rows)
            else:
                mapped[rows] *= np.linalg.norm(np.asarray(opened.array[rows], np.float32), axis=1, keepdims=True)
        return mapped

    def save(self, path: str | Path) -> None:
        """Write a sealed safetensors file. Raises BctError when it cannot be written."""
        write_map(Path(path), self._about() | {"digest": self.digest}, self._arrays())

    @classmethod
    def load(cls, path: str | Path) -> "Map":
        """What `save` wrote. Raises BctError naming the file when it is missing, damaged or something else."""
        about, arrays = read_map(Path(path))
        del about["direction"], about["digest"]
        if about["strength"] is not None:
            about["strength"] = float(about["strength"])
        return cls(**about, **arrays)

    def _about(self) -> dict:
        """What the file says of the map; the strength is text, as JSON has no infinity."""
        names = ("kind", "new", "old", "pairs", "chosen_on", "of", "weight")
        strength = None if self.strength is None else repr(float(self.strength))
        return {name: getattr(self, name) for name in names} | {"direction": DIRECTION, "strength": strength}

    def _arrays(self) -> dict[str, np.ndarray]:
        return {"matrix": self.matrix, "bias": self.bias}

    @staticmethod
    def _check_dimensions(features, expected: int, model: str) -> None:
        d = features.array.shape[1]
        if d != expected:
            raise BctError(f"{features.label} has {d} dimensions: this map expects {expected}, those of {model!r}")


def _unit(rows: np.ndarray) -> np.ndarray:
    """Unit rows; rows of zeros, which a map that drops dimensions can give, stay zeros."""
    norms = np.linalg.norm(rows, axis=1, keepdims=True)
    return np.divide(rows, norms, out=np.zeros_like(rows), where=norms > 0)
