"""The kinds of map by name: how each is fitted, which strengths are tried, and how many pairs it needs."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from bctlib.base.errors import BctError, unknown
from bctlib.upgrade.align import maps
from bctlib.upgrade.align.lambda_orthogonal import lambda_orthogonal
from bctlib.upgrade.align.maps import Affine

SPAN_FILTER, MIDPOINT = "span-filter", "midpoint"
RANKS = (1, np.inf)


@dataclass(frozen=True)
class Kind:
    """One kind of map.

    solve: (z, o, strength) -> matrix and bias; None: not from pairs. strengths: those that are tried on held-out pairs;
    empty where the kind has none. limits: of a strength, RANKS where it is a rank. least: (strength, d_new, d_old) ->
    the number of pairs that it takes.
    """

    about: str
    solve: Callable[[np.ndarray, np.ndarray, float], Affine] | None
    least: Callable[[float, int, int], int]
    strengths: tuple[float, ...] = ()
    limits: tuple[float, float] = (0.0, np.inf)

    def tried(self, d_new: int, d_old: int) -> list[float]:
        """The strengths to choose from, for these dimensions; the largest rank is that of least squares."""
        if self.limits != RANKS:
            return list(self.strengths)
        widest = min(d_new, d_old)
        return [*(each for each in self.strengths if each < widest), float(widest)]


def _narrower(extra: int) -> Callable[[float, int, int], int]:
    """A rotation is determined by as many pairs as the narrower side has dimensions; centring takes one more."""
    return lambda strength, d_new, d_old: min(d_new, d_old) + extra


def _ridge_pairs(strength: float, d_new: int, d_old: int) -> int:
    return 2 if strength > 0 else d_new + 1


def _lambda_pairs(strength: float, d_new: int, d_old: int) -> int:
    return d_new + 1 if np.isinf(strength) else min(d_new, d_old) + 1


_POWERS = tuple(10.0**power for power in range(-6, 2))
_LAMBDAS = (0.0, *(round(each / 512**0.5, 3) for each in (3, 6, 12)), np.inf)

KINDS: dict[str, Kind] = {
    "orthogonal": Kind("a rotation", lambda z, o, _: maps.orthogonal(z, o), _narrower(0)),
    "centred-orthogonal": Kind(
        "a rotation about the two means", lambda z, o, _: maps.centred_orthogonal(z, o), _narrower(1)
    ),
    "ridge": Kind("regularised least squares with a bias", maps.ridge, _ridge_pairs, _POWERS),
    "diagonal": Kind("a rotation, then a factor for each dimension", maps.diagonal, _narrower(0), (*_POWERS, 100.0)),
    "low-rank": Kind(
        "least squares of a given rank", maps.low_rank, lambda rank, *_: int(rank) + 1,
        tuple(float(2**power) for power in range(12)), RANKS,
    ),
    "lambda-orthogonal": Kind(
        "least squares that stays near a rotation", lambda_orthogonal, _lambda_pairs, _LAMBDAS
    ),
}  # fmt: skip
"""Every kind that is fitted to pairs by itself. The span filter takes the old head, the midpoint one of these."""
FILTER = Kind("damps directions that the old head does not use", None, lambda *_: 0, _POWERS)
NAMES = (*KINDS, SPAN_FILTER, MIDPOINT)


def kind_named(name: str, among: tuple[str, ...] = NAMES) -> str:
    """The name back. Raises UsageError with the nearest known names."""
    if name not in among:
        raise unknown("kind of map", str(name), among)
    return name


def check_strength(name: str, kind: Kind, strength: float, d_new: int, d_old: int) -> float:
    """The strength as a float. Raises BctError where the kind takes none, or not this one."""
    if not kind.strengths:
        raise BctError(f"a map of kind {name} has no strength, got {strength}")
    value = float(strength)
    if kind.limits == RANKS:
        if not (value.is_integer() and 1 <= value <= min(d_new, d_old)):
            raise BctError(
                f"the strength of a {name} map is its rank, {strength}: expected a whole number from 1 to "
                f"{min(d_new, d_old)}, the narrower of {d_new} and {d_old} dimensions"
            )
    elif not value >= 0 or (np.isinf(value) and name != "lambda-orthogonal"):
        raise BctError(f"the strength of a {name} map is {strength}: expected a finite number of 0 or more")
    return value


def too_few(
    name: str, kind: Kind, strength: float, n: int, d_new: int, d_old: int, held_out: int = 0
) -> BctError | None:
    """The error where n pairs, beside those held out, do not determine such a map, else None."""
    least = kind.least(strength, d_new, d_old)
    if n >= least:
        return None
    at = f" of strength {strength:g}" if kind.strengths else ""
    beside = f" (beside {held_out:,} held out)" if held_out else ""
    return BctError(
        f"{n:,} pairs{beside} are too few for a map of kind {name}{at} from {d_new} to {d_old} dimensions: "
        f"it takes {least:,}"
    )
