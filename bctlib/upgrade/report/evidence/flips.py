"""Flips: searches that were right at rank 1 and are wrong after the upgrade, and the reverse."""

from dataclasses import dataclass

import numpy as np

from bctlib.upgrade.report.inputs import Inputs
from bctlib.upgrade.report.measured.resampling import Interval, interval, weighted_mean
from bctlib.upgrade.report.measured.searches import Searches


@dataclass(frozen=True)
class Flips:
    """Shares, from 0 to 1, of the n searches with a mate, old/old against new/old, right meaning a mate at rank 1.

    lost: right before and wrong after; won: wrong before and right after. won - lost is the difference of rank 1.
    """

    n_searches: int
    lost: Interval
    won: Interval

    def as_dict(self) -> dict:
        """Plain types; intervals by name."""
        return {"n_searches": self.n_searches, "lost": self.lost._asdict(), "won": self.won._asdict()}

    def sentence(self) -> str:
        """Both shares with their intervals, in words."""
        lost, won = (f"{100 * each.value:.2f} % ({100 * each.low:.2f} to {100 * each.high:.2f})"
                     for each in (self.lost, self.won))  # fmt: skip
        return (
            f"Of {self.n_searches:,} searches with something to find, {lost} were right at rank 1 and become wrong, "
            f"and {won} were wrong and become right."
        )


def flips(before: Searches, after: Searches, inputs: Inputs, weights: np.ndarray) -> Flips:
    """Flips between two systems; weights uint8 [c, b] of classes, those of the other intervals."""
    mated = before.mated
    right, stays = before.rank[mated] == 1, after.rank[mated] == 1
    shares = [
        interval(outcome.mean(), weighted_mean(weights, inputs.query_class[mated], outcome))
        for outcome in (right & ~stays, ~right & stays)
    ]
    return Flips(int(mated.sum()), *shares)
