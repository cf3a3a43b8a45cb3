"""The tests that decide claims: each says on which side of a bound a quantity, or a difference of two, should lie.

A difference is taken seed by seed, so that what two models share (the old model, the data) drops out of the interval.
"""

from dataclasses import dataclass

from companion.tables.claims.quantities import Accuracy, BySeed, Lookup, Point, Quantity


@dataclass(frozen=True)
class Comparison:
    """effect = left (minus right). above: the claim is `effect > bound`; otherwise its negation, at most the bound."""

    left: Quantity
    right: Quantity | None
    above: bool
    bound: float = 0.0

    @property
    def accuracies(self) -> tuple[Accuracy, ...]:
        return self.left.accuracies + (self.right.accuracies if self.right else ())

    @property
    def tables(self) -> tuple[str, ...]:
        """The tables of results it reads, each once."""
        return tuple(dict.fromkeys(each.table for each in self.accuracies))

    @property
    def words(self) -> str:
        sign, size = (">" if self.above else "≤"), f"{abs(self.bound):g}"
        if self.right is None:
            return f"{self.left.words} {sign} {'-' if self.bound < 0 else ''}{size}"
        shift = f" {'+' if self.bound > 0 else '−'} {size}" if self.bound else ""
        return f"{self.left.words} {sign} {self.right.words}{shift}"

    def by_seed(self, lookup: Lookup, point: Point) -> BySeed:
        """The effect for every seed that both sides have."""
        left = self.left.by_seed(lookup, point)
        if self.right is None:
            return left
        right = self.right.by_seed(lookup, point)
        return {seed: left[seed] - right[seed] for seed in sorted(left) if seed in right}

    def paper(self, point: Point) -> float | None:
        """The effect in the paper's printed numbers, None where it prints none."""
        printed = [side.paper(point) for side in (self.left, self.right) if side]
        return None if None in printed else printed[0] - sum(printed[1:])

    def met_by(self, effect: float) -> bool:
        """Does one number, without an interval, lie on the side claimed?"""
        return (effect > self.bound) == self.above


def exceeds(a: Quantity, b: Quantity) -> Comparison:
    """a > b, strictly as in Eq. 2."""
    return Comparison(a, b, above=True)


def falls_short(a: Quantity, b: Quantity) -> Comparison:
    """a ≤ b: not `exceeds`."""
    return Comparison(a, b, above=False)


def within(a: Quantity, b: Quantity, points: float) -> Comparison:
    """a is not worse than b by as much as so many points."""
    return Comparison(a, b, above=True, bound=-points)


def at_most(a: Quantity, limit: float) -> Comparison:
    """a ≤ limit."""
    return Comparison(a, None, above=False, bound=limit)


def more_than(a: Quantity, limit: float) -> Comparison:
    """a > limit."""
    return Comparison(a, None, above=True, bound=limit)


def satisfies_eq_2(pair: Accuracy) -> Comparison:
    """M(new, old) > M(old, old)."""
    return exceeds(pair, Accuracy(pair.table, pair.gallery, pair.gallery))


def fails_eq_2(pair: Accuracy) -> Comparison:
    """M(new, old) ≤ M(old, old)."""
    return falls_short(pair, Accuracy(pair.table, pair.gallery, pair.gallery))
