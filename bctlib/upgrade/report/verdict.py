"""Eq. 2 at each operating point with its interval, the update gain (Eq. 9), and the answer in words."""

from dataclasses import dataclass

import numpy as np

from bctlib.metrics.compatibility import is_compatible, update_gain
from bctlib.upgrade.report.measured.measures import Measured
from bctlib.upgrade.report.measured.resampling import Interval, interval

YES, NO, UNDECIDED = "yes", "no", "undecided"
FEW_IDENTITIES = 10
"""With fewer identities an interval is meaningless."""
RULE = (
    "Eq. 2 of the paper: the new model's queries against the old gallery, M(new, old), must be strictly better than "
    "the old system, M(old, old). At one operating point the answer is yes where the 95 % interval of the difference "
    "(bootstrap over identities, both systems on the same draw) lies wholly above zero, no where it lies wholly at or "
    "below zero, and undecided otherwise. Over all deciding points: yes where each says yes, no as soon as one says "
    "no, and undecided otherwise."
)


@dataclass(frozen=True)
class Loss:
    """The accuracy lost without backfill: that of `against` (new/new, new*/new*) minus that of new/old."""

    against: str
    value: float
    lost: Interval


@dataclass(frozen=True)
class JudgedPoint:
    """One operating point; accuracies and differences from 0 to 1.

    eq2: M(new, old) > M(old, old) on these data. decision: yes, no or undecided, as `RULE` says. gain: Eq. 9 with the
    ceiling `gain_against` ("new*/new*", the paragon; else "new/new"); None unless both Eq. 2 and a ceiling above
    old/old are significant. saturated: old/old is perfect, so that nothing can beat it.
    """

    protocol: str
    metric: str
    point: float | None
    decides: bool
    old_old: Interval
    new_old: Interval
    difference: Interval
    eq2: bool
    decision: str
    gain: Interval | None
    gain_against: str | None
    losses: tuple[Loss, ...]
    saturated: bool

    @property
    def name(self) -> str:
        """The usual notation: TAR@FAR=0.001, rank-1, mAP."""
        if self.point is None:
            return self.metric
        rate = {"TAR": "@FAR=", "TPIR": "@FPIR="}.get(self.metric, "-")
        return f"{self.metric}{rate}{self.point:g}"


@dataclass(frozen=True)
class Answer:
    """answer: yes, no or undecided. headline: one sentence. reasons: one sentence each."""

    answer: str
    headline: str
    reasons: list[str]


def judge_points(measured: dict[str, Measured], deciding: frozenset[tuple], n_identities: int) -> list[JudgedPoint]:
    """A verdict for every measure of "new/old" and "old/old"; uses "new/new" and "new*/new*" where measured."""
    cross, old = measured["new/old"], measured["old/old"]
    points = []
    for at, row in enumerate(cross.rows):
        ceilings = {
            name: (measured[name].rows[at].value, measured[name].replicates[at])
            for name in ("new/new", "new*/new*")
            if name in measured
        }
        mine, theirs = cross.replicates[at], old.replicates[at]
        before = old.rows[at].value
        difference = interval(row.value - before, mine - theirs)
        saturated = before == 1.0
        decision = _decision(difference, n_identities)
        against = next((name for name in ("new*/new*", "new/new") if name in ceilings), None)
        gain = _gain(row.value, before, mine, theirs, *ceilings[against]) if against and decision == YES else None
        points.append(
            JudgedPoint(
                row.protocol, row.metric, row.point, row.quantity in deciding and not saturated,
                interval(before, theirs), interval(row.value, mine), difference,
                is_compatible(row.value, before), decision, gain, against if gain else None,
                tuple(
                    Loss(name, value, interval(value - row.value, each - mine))
                    for name, (value, each) in ceilings.items()
                ),
                saturated,
            )
        )  # fmt: skip
    return points


def _decision(difference: Interval, n_identities: int) -> str:
    if n_identities < FEW_IDENTITIES:
        return UNDECIDED
    if difference.low > 0:
        return YES
    return NO if difference.high <= 0 else UNDECIDED


def _gain(
    new_old: float, old_old: float, mine: np.ndarray, theirs: np.ndarray, ceiling: float, replicates: np.ndarray
) -> Interval | None:
    room = replicates - theirs
    if interval(ceiling - old_old, room).low <= 0:
        return None
    kept = room > 0
    return interval(update_gain(new_old, old_old, ceiling), ((mine - theirs)[kept] / room[kept]))


def answer(points: list[JudgedPoint], n_identities: int) -> Answer:
    """The overall answer by `RULE`."""
    deciding = [point for point in points if point.decides]
    by = {each: [point for point in deciding if point.decision == each] for each in (YES, NO, UNDECIDED)}
    reasons = [_sentence(each, found) for each, found in by.items() if found]
    if n_identities < FEW_IDENTITIES:
        reasons = [
            f"Only {n_identities} identities can be searched for and found: an interval needs at least "
            f"{FEW_IDENTITIES}, and better a hundred."
        ]
    if saturated := [point.name for point in points if point.saturated]:
        reasons.append(f"The old system is perfect on these data at {_listed(saturated)}: nothing can beat it there.")
    if by[NO]:
        return Answer(NO, _no(by), reasons)
    if deciding and not by[UNDECIDED]:
        return Answer(YES, "Yes: the new model can be deployed without backfill.", reasons)
    headline = "Not decided by these data: they cannot tell whether to deploy without backfill."
    if by[YES] and by[UNDECIDED]:
        headline = (
            f"Not decided by these data: better without backfill at {len(by[YES])} of {len(deciding)} operating "
            "points, open at the others."
        )
    return Answer(UNDECIDED, headline, reasons)


def _no(by: dict[str, list[JudgedPoint]]) -> str:
    if by[YES] or by[UNDECIDED]:
        return (
            "No, not at every operating point: without backfill the new model does not beat the old system everywhere."
        )
    return "No: do not deploy the new model without backfill."


def loss_sentence(points: list[JudgedPoint]) -> list[str]:
    """A sentence on what a backfill would add at the deciding points; empty if unknown."""
    deciding = [point for point in points if point.decides and point.losses]
    if not deciding:
        return []
    model = "this new model" if deciding[0].losses[0].against == "new/new" else "the paragon"
    where = _listed([f"{100 * point.losses[0].lost.value:+.2f} points at {point.name}" for point in deciding])
    return [f"Backfilling the whole gallery with {model} would bring {where}."]


def _sentence(decision: str, points: list[JudgedPoint]) -> str:
    where = _listed([f"{point.name} ({_change(point)})" for point in points])
    words = {
        YES: "Beyond doubt, new queries against the old gallery beat the old system at",
        NO: "New queries against the old gallery are worse than the old system, or no better, at",
        UNDECIDED: "These data cannot tell (the interval of the difference holds zero) at",
    }
    return f"{words[decision]} {where}."


def _change(point: JudgedPoint) -> str:
    return f"from {100 * point.old_old.value:.2f} to {100 * point.new_old.value:.2f} %"


def _listed(names: list[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
