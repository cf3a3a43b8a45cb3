"""The ledger: every claim with its test, its effect and its verdict at one scale, from committed results."""

import math
from collections import Counter
from collections.abc import Collection, Mapping

import pandas as pd

from bctlib.base.errors import BctError
from companion.tables.cells import DASH
from companion.tables.claims.claim_list import CLAIMS, SECTIONS, Claim
from companion.tables.claims.comparisons import Comparison
from companion.tables.claims.quantities import Point
from companion.tables.claims.verdicts import FAILS, HOLDS, NOT_MEASURED, UNDECIDED, VERDICTS, Judgement, Results
from bctlib.training.bctlib_scales import SCALES

RULE = (
    "A claim holds where the 95 % interval (Student's t over seeds, paired by seed) lies wholly on the side claimed, "
    "fails where it lies wholly on the other, and is undecided otherwise or with fewer than 3 seeds."
)
_TWICE = "A statement about both protocols counts twice."


def judged_claims(scale: str) -> list[tuple[Claim, Point, Judgement]]:
    """Every claim at every point that decides it, in the order of the list."""
    results = Results(scale)
    return [(claim, point, results.judge(claim.test, point)) for claim in CLAIMS for point in claim.at]


def claims_table(scale: str) -> pd.DataFrame:
    """The ledger at one scale, a row per claim and point.

    Columns: claim (gist), at, where, stated by (`paper` or `us`), test, paper and effect (in points; a difference with
    its sign, otherwise the level; the effect ± half its 95 % interval), seeds, verdict, no look-alikes (the verdict in
    that form), points (of the protocol: how many hold / fail / are undecided), note. Raises BctError for an unknown
    scale or a damaged file; what was not measured is said in its row.
    """
    results = Results(scale)
    rows = [_row(results, claim, point) for claim in CLAIMS for point in claim.at]
    return pd.DataFrame(rows).set_index("id")


def _row(results: Results, claim: Claim, point: Point) -> dict[str, object]:
    judged, distinct = results.judge(claim.test, point), point.without_lookalikes
    points = results.judge_all_points(claim.test, point)
    return {
        "id": claim.name if len(claim.at) == 1 else f"{claim.name} {point.label}",
        "claim": claim.gist,
        "at": point.label,
        "where": claim.where,
        "stated by": "us" if claim.ours else "paper",
        "test": f"{claim.test.words} ({point.words})",
        "paper": _paper_text(claim.test, point),
        "effect": effect_text(claim.test, judged),
        "seeds": len(judged.effect.seeds) if judged.effect else 0,
        "verdict": judged.verdict,
        "no look-alikes": results.judge(claim.test, distinct).verdict if distinct else DASH,
        "points": " / ".join(str(points[each]) for each in (HOLDS, FAILS, UNDECIDED)) if points else DASH,
        "note": claim.note,
    }


def swaying(table: pd.DataFrame) -> pd.DataFrame:
    """The rows whose verdict is not the same at every operating point, or changes without look-alikes."""
    several = table["points"].map(lambda counts: sum(n not in ("0", DASH) for n in counts.split(" / ")) > 1)
    distinct = table["no look-alikes"]
    return table[several | (distinct != DASH) & (distinct != table["verdict"])]


def shown_scale(scale: str) -> str:
    """The scale itself if any claim was measured at it, else `desk`, whose results come with the project."""
    return scale if any(judged.effect for _, _, judged in judged_claims(scale)) else "desk"


def effect_text(test: Comparison, judged: Judgement) -> str:
    """Mean and half of the interval, with a sign where it is a difference."""
    return judged.effect.text(sign=test.right is not None) if judged.effect else DASH


def _paper_text(test: Comparison, point: Point) -> str:
    printed = test.paper(point)
    return DASH if printed is None else f"{printed:{'+' if test.right else ''}.2f}"


def margin(test: Comparison, judged: Judgement) -> tuple[float, float]:
    """Points by which the effect lies on the side claimed (negative: on the other), and half its interval."""
    towards = 1 if test.above else -1
    half_width = judged.effect.half_width
    return towards * (judged.effect.mean - test.bound), 0.0 if math.isnan(half_width) else half_width


def counts_text(table: pd.DataFrame) -> str:
    """How many of the paper's statements, and of ours, have each verdict."""
    verbs = {
        HOLDS: ("holds", "hold"), FAILS: ("fails", "fail"), UNDECIDED: ("is undecided", "are undecided"),
        NOT_MEASURED: ("is not measured", "are not measured"),
    }  # fmt: skip
    parts = []
    for who, whose in (("paper", "Of {} statements of the paper"), ("us", "Of {} that are ours")):
        verdicts = Counter(table.loc[table["stated by"] == who, "verdict"])
        listed = [f"{verdicts[each]} {verbs[each][verdicts[each] != 1]}" for each in VERDICTS if verdicts[each]]
        parts.append(f"{whose.format(verdicts.total())}, {', '.join(listed)}.")
    return " ".join(parts)


def print_claims(scale: str = "desk") -> None:
    """The ledger on the terminal: counts, the rule, and a line per claim and point.

    Where nothing was measured at the scale, one sentence that says so. Raises as `claims_table` does.
    """
    table = claims_table(scale)
    if (table["verdict"] == NOT_MEASURED).all():
        measured = [each for each in SCALES if (claims_table(each)["verdict"] != NOT_MEASURED).any()]
        there = f"; there are verdicts at {', '.join(measured)} scale" if measured else ""
        print(f"None of the {len(table)} claims was measured at {scale} scale{there}.")
        return
    print(f"What of the paper holds on open data, at {scale} scale\n{counts_text(table)}")
    print(f"{RULE}\nIn points of per cent. points: operating points at which the claim holds/fails/is undecided.")
    rows = iter(table.to_dict("records"))
    for section, claims in SECTIONS.items():
        print(f"\n{section}\n{'verdict':13}{'at':10}{'here':>13}{'paper':>8}  {'seeds':6}{'points':7}claim")
        for row in (next(rows) for claim in claims for _ in claim.at):
            points = row["points"].replace(" ", "")
            print(f"{row['verdict']:13}{row['at']:10}{row['effect']:>13}{row['paper']:>8}  {row['seeds']:<6}{points:7}"
                  f"{_gist(row)} ({row['where']})")  # fmt: skip


def _gist(row: Mapping[str, object]) -> str:
    return f"ours: {row['claim']}" if row["stated by"] == "us" else str(row["claim"])


def highlights_section(names: Collection[str], scale: str = "desk") -> str:
    """For the README: the counts over the whole ledger, and one line per named claim with its verdict at each point.

    names: of claims (`Claim.name`), shown in the order of the ledger. Raises BctError for a name that is not there, and
    as `claims_table` does.
    """
    if unknown := set(names) - {claim.name for claim in CLAIMS}:
        raise BctError(f"no claim has the name {', '.join(sorted(unknown))}: see companion.tables.claims.claim_list")
    table = claims_table(scale)
    rows = iter(table.to_dict("records"))
    lines = ["| the paper says | where | here |", "|---|---|---|"]
    for claim in CLAIMS:
        judged = [next(rows) for _ in claim.at]
        if claim.name in names:
            verdicts = {row["at"]: row["verdict"] for row in judged}
            same = len(set(verdicts.values())) == 1
            shown = [f"**{verdict}**" if same else f"{at} **{verdict}**" for at, verdict in verdicts.items()]
            lines.append(f"| {_gist(judged[0])} | {claim.where} | {shown[0] if same else ', '.join(shown)} |")
    return f"{counts_text(table)} {_TWICE} {RULE}\n\n" + "\n".join(lines)


def ledger_section(scale: str = "desk") -> str:
    """For docs/claims.md: the counts, the rule, and a table per section with a row per claim and point.

    Raises as `claims_table` does.
    """
    table = claims_table(scale)
    rows = iter(table.to_dict("records"))
    parts = [f"{counts_text(table)} {_TWICE}", RULE]
    for section, claims in SECTIONS.items():
        lines = [f"## {section}", "", "| statement | where | at | paper | here | seeds | points | verdict |",
                 "|---|---|---|---|---|---|---|---|"]  # fmt: skip
        for row in (next(rows) for claim in claims for _ in claim.at):
            note = f" *({row['note']})*" if row["note"] else ""
            cells = (row[name] for name in ("where", "at", "paper", "effect", "seeds", "points"))
            lines.append(f"| {_gist(row)}{note} | {' | '.join(map(str, cells))} | **{row['verdict']}** |")
        parts.append("\n".join(lines))
    return "\n\n".join(parts)
