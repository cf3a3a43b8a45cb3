"""Declarations of models whose vectors may be compared, and errors for all other comparisons."""

from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING

from bctlib.base.errors import BctError

if TYPE_CHECKING:
    from bctlib.upgrade.align import Map


def model_id(name) -> str:
    """A model's id: a recipe's key, or any text. Raises BctError for anything else."""
    if not isinstance(name, str) or not name.strip():
        raise BctError(f"the id of a model is {name!r}, expected text, such as the key of its recipe")
    return name


def check_map(made: "Map", new: str, old: str, dim: int) -> None:
    """Raises BctError unless the map leads queries of `new` into an index of `dim` dimensions with vectors of `old`."""
    made.check(model_id(new), model_id(old))
    if made.weight is not None:
        raise BctError("a midpoint map needs the old model's queries too: apply it yourself and search as the old")
    if made.matrix.shape[1] < dim:
        raise BctError(f"the map leads to {made.matrix.shape[1]} dimensions, expected at least the index's {dim}")


class ComparableModels:
    """Declared pairs of models. A pair is symmetric, like the cosine, and is not transitive.

    compatible: {new: old} or {new: [old, older]}. Sec. 3.6 asks whether a third version, trained to be compatible with
    the second, is also compatible with the first. This is not guaranteed (notebook 03): declare such a pair only if it
    was measured.
    """

    def __init__(self, compatible: Mapping[str, str | Iterable[str]] | None = None):
        self._pairs: set[frozenset[str]] = set()
        self._apart: set[frozenset[str]] = set()
        for new, olds in (compatible or {}).items():
            for old in [olds] if isinstance(olds, str) else olds:
                self.declare(new, old)

    @property
    def pairs(self) -> list[list[str]]:
        """Every declared pair, sorted."""
        return sorted(sorted(pair) for pair in self._pairs)

    def declare(self, new: str, old: str) -> None:
        """Allow comparisons of the two models' vectors. Raises BctError for a pair of one model."""
        if model_id(new) == model_id(old):
            raise BctError(f"model {new!r} was declared compatible with itself, expected another model")
        self._pairs.add(frozenset((new, old)))

    def keep_apart(self, new: str, old: str) -> None:
        """Allow vectors of the two models in one index, but no comparison between them. Raises as `declare` does."""
        if model_id(new) == model_id(old):
            raise BctError(f"model {new!r} was to be kept apart from itself, expected another model")
        self._apart.add(frozenset((new, old)))

    def __call__(self, one: str, other: str) -> bool:
        return one == other or frozenset((one, other)) in self._pairs

    def _foreign(self, model: str, held: Mapping[str, int]) -> Iterator[tuple[str, int]]:
        """The held models, with counts, whose vectors must not be compared with the model's."""
        return ((other, count) for other, count in held.items() if count and not self(model, other))

    def check_mixing(self, model: str, held: Mapping[str, int]) -> None:
        """Raises BctError if vectors of `model` must not be mixed with those held, {model: number of vectors}."""
        foreign = (
            (other, n) for other, n in self._foreign(model, held) if frozenset((model, other)) not in self._apart
        )
        for other, count in foreign:
            raise BctError(
                f"vectors of model {model!r} cannot be mixed with the {count:,} of {other!r} in this index: no "
                f"compatibility of the two was declared; declare {{{model!r}: {other!r}}} if it was trained for "
                f"and measured, else give {model!r} an index of its own"
            )

    def check_search(self, model: str, held: Mapping[str, int]) -> None:
        """Raises BctError if queries of `model` must not be compared with the vectors held."""
        for other, count in self._foreign(model, held):
            raise BctError(
                f"queries of model {model!r} cannot be compared with the {count:,} vectors of {other!r} in this "
                f"index: no compatibility of the two was declared; search with {other!r} or a model that was "
                f"declared compatible with it"
            )
