"""Fits a map, and chooses its strength on held-out pairs or by a judge on validation identities."""

from collections.abc import Callable
from functools import partial
from typing import Protocol

import numpy as np

from bctlib.base.errors import BctError
from bctlib.upgrade.align import kinds, maps
from bctlib.upgrade.align.inputs import Source, held_out_rows, open_head, open_pairs
from bctlib.upgrade.align.kinds import FILTER, KINDS, MIDPOINT, SPAN_FILTER, Kind
from bctlib.upgrade.align.mapping import Map, check_ids
from bctlib.upgrade.align.maps import Affine


class Judge(Protocol):
    """Says how good a map is, the more the better. about: what it judges on, which the map records."""

    @property
    def about(self) -> str: ...

    def __call__(self, made: Map) -> float: ...


def fit(
    new: Source | None,
    old: Source | None,
    kind: str = "ridge",
    *,
    new_id: str,
    old_id: str,
    strength: float | None = None,
    held_out: Source | None = None,
    identities: Source | None = None,
    share: float = 0.1,
    seed: int = 0,
    head: Source | None = None,
    of: str | None = None,
    weight: float | None = None,
    judge: Judge | None = None,
) -> Map:
    """A map from features of the new model into the space of the old one.

    new [n, d_new], old [n, d_old]: features of the same images by both models, arrays or .npy files; use training
    identities, and no identity that the map is tested on. kind: one of `bctlib.upgrade.align.NAMES`. new_id, old_id:
    ids of the models, which `Map.apply` checks.

    strength: of the kind (`bctlib.upgrade.align.maps`). Without it, each of a grid is fitted to the pairs that are not
    held out; the one with the largest mean cosine of mapped and old feature on the held-out pairs is taken and fitted
    to all pairs. held_out: row numbers of those pairs; else `share` of the identities (one for each row: integers,
    text or a file as `bctlib evaluate` reads) or of the pairs is drawn with `seed`. judge: takes the place of held-out
    pairs; each strength is fitted to all pairs, and the map that it values most is taken. `OpenSet` is one: accuracy
    of open-set search on validation identities, which the mean cosine does not foretell at strict thresholds.

    head [classes, d_old]: the rows of the old classifier, for the span filter, which is made from them alone: new and
    old only choose its strength, and may be None where that is given. of ("ridge"), weight (1/2): a midpoint is
    w m^ + (1 - w) o^ of the query mapped by a map of kind `of` and of the old query, both at unit length; at 1/2 this
    points to the middle of the great circle between them (SLERP). Its weight cannot be chosen on such pairs, where the
    old query is right by definition.

    Raises UsageError for an unknown kind, and BctError in one sentence for features that are no numbers [n, d], not
    finite or zero, for other numbers of rows, for too few pairs for the kind, and for a strength that it cannot have.
    """
    base, midpoint = _base(kind, of, weight)
    check_ids(new_id, old_id)
    if (new is None) != (old is None):
        raise BctError(f"{'new' if new is None else 'old'} is missing: expected features of both models")
    if (head is None) == (base == SPAN_FILTER):
        raise BctError(f"a map of kind {base} {'needs the old' if head is None else 'takes no'} head")
    if strength is not None and (held_out is not None or identities is not None):
        raise BctError("strength was given with held_out or identities, which only serve to choose it: expected one")
    if judge is not None and any(each is not None for each in (strength, held_out, identities)):
        raise BctError("a judge chooses the strength itself: expected no strength, held_out or identities beside it")

    def made(pairs: int, affine: Affine, strength: float | None, chosen_on: str | None) -> Map:
        matrix, bias = (np.ascontiguousarray(each, np.float32) for each in affine)
        return Map(kind, new_id, old_id, pairs, matrix, bias, strength, chosen_on, **midpoint)

    if base == SPAN_FILTER:
        affine, strength, chosen_on, pairs = _fit_filter(new, old, head, strength, judge and _judged(judge, made, 0))
    else:
        if new is None:
            raise BctError(f"a map of kind {base} is fitted to pairs: expected features of both models")
        z, o = open_pairs(new, old)
        held = partial(held_out_rows, len(z), held_out, identities, share, seed)
        pairs = len(z)
        choose = judge and _judged(judge, made, pairs)
        affine, strength, chosen_on = _fit_pairs(base, KINDS[base], z, o, strength, held, choose)
    return made(pairs, affine, strength, chosen_on)


Choice = Callable[[dict[float, Affine]], tuple[float, str]]
"""From the map of each strength: the best strength, and what it was chosen on."""


def _judged(judge: Judge, made: Callable[..., Map], pairs: int) -> Choice:
    """The choice of the strength that the judge values most; of equals the first."""

    def choose(fitted: dict[float, Affine]) -> tuple[float, str]:
        return max(fitted, key=lambda each: judge(made(pairs, fitted[each], each, judge.about))), judge.about

    return choose


def _base(kind: str, of: str | None, weight: float | None) -> tuple[str, dict]:
    """The kind that is fitted, and what a midpoint's map holds beside it."""
    kinds.kind_named(kind)
    if kind != MIDPOINT:
        if of is not None or weight is not None:
            raise BctError(f"a map of kind {kind} takes neither of nor weight: only a midpoint does")
        return kind, {}
    base = kinds.kind_named("ridge" if of is None else of, (*KINDS, SPAN_FILTER))
    weight = 0.5 if weight is None else float(weight)
    if not 0 <= weight <= 1:
        raise BctError(f"the weight of a midpoint is {weight}: expected 0 (the old query) to 1 (the mapped query)")
    return base, {"of": base, "weight": weight}


def _fit_pairs(
    name: str, kind: Kind, z: np.ndarray, o: np.ndarray, strength: float | None, held_out, choose: Choice | None
) -> tuple[Affine, float | None, str | None]:
    n, dims, chosen_on = len(z), (z.shape[1], o.shape[1]), None
    if not kind.strengths and strength is None:
        used = 0.0  # not looked at
    elif strength is not None:
        used = strength = kinds.check_strength(name, kind, strength, *dims)
    elif choose is not None:
        fitted = {each: kind.solve(z, o, each) for each in _possible(name, kind, n, dims)}
        strength, chosen_on = choose(fitted)
        return fitted[strength], strength, chosen_on
    else:
        held, chosen_on = held_out()
        left, n_left = ~held, int(np.count_nonzero(~held))
        fitted = {each: kind.solve(z[left], o[left], each) for each in _possible(name, kind, n_left, dims, n - n_left)}
        used = strength = _best(fitted, z[held], o[held])
    fault = kinds.too_few(name, kind, used, n, *dims)
    if fault:
        raise fault
    return kind.solve(z, o, used), strength, chosen_on


def _possible(name: str, kind: Kind, n: int, dims: tuple[int, int], held_out: int = 0) -> list[float]:
    """The strengths that n pairs determine a map for. Raises BctError if there are none."""
    faults = {each: kinds.too_few(name, kind, each, n, *dims, held_out) for each in kind.tried(*dims)}
    possible = [each for each, fault in faults.items() if fault is None]
    if not possible:
        raise next(iter(faults.values()))
    return possible


def _fit_filter(
    new: Source | None, old: Source | None, head: Source, strength: float | None, choose: Choice | None
) -> tuple[Affine, float, str | None, int]:
    """Pairs, if any, only choose the strength: none is held out, as none is fitted."""
    z, o = (None, None) if new is None else open_pairs(new, old)
    if z is None and strength is None and choose is None:
        raise BctError("a span filter needs a strength, or features of both models to choose it on")
    rows = open_head(head, None if z is None else z.shape[1], None if o is None else o.shape[1])
    d_new = rows.shape[1] if z is None else z.shape[1]
    if strength is not None:
        used = kinds.check_strength(SPAN_FILTER, FILTER, strength, d_new, rows.shape[1])
        return maps.span_filter(rows, d_new, used), used, None, 0
    filters = {each: maps.span_filter(rows, d_new, each) for each in FILTER.strengths}
    if choose is not None:
        used, chosen_on = choose(filters)
        return filters[used], used, chosen_on, 0
    used = _best(filters, z, o)
    return filters[used], used, f"all {len(z):,} pairs, to which nothing was fitted", 0


def _best(fitted: dict[float, Affine], z: np.ndarray, o: np.ndarray) -> float:
    """The strength with the largest mean cosine of mapped and old feature; of equals the first."""

    def closeness(affine: Affine) -> float:
        mapped = z @ affine[0] + affine[1]
        norms = np.linalg.norm(mapped, axis=1)
        return float(np.divide(np.einsum("ij,ij->i", mapped, o), norms, out=np.zeros(len(z)), where=norms > 0).mean())

    return max(fitted, key=lambda each: closeness(fitted[each]))
