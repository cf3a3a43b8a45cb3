"""The ledger: every claim with its test, its effect and its verdict at one scale, as tables and as text."""

from collections import Counter
from collections.abc import Collection, Mapping

import pandas as pd

from bctlib.base.errors import BctError
from bctlib.training.scales import SCALES
from companion.tables.cells import DASH
from companion.tables.claims.claim_list import CLAIMS, COMPATIBLE, GROUPS, REASONS, SECTIONS, Claim
from companion.tables.claims.quantities import Comparison, Point
from companion.tables.claims.verdicts import FAILS, HOLDS, NOT_MEASURED, UNDECIDED, VERDICTS, Judgement, Results

RULE = (
    "A claim holds where the 95 % interval (Student's t over seeds, paired by seed) lies wholly on the side claimed, "
    "fails where it lies wholly on the other, and is undecided otherwise or with fewer than 3 seeds."
)
SIGNS = (
    "A sign per operating point of the protocol, from strict to loose, then the ranks: `+` the first pair is better, "
    "`-` it is not, `0` undecided."
)
_TWICE = "A statement about both protocols counts twice."


def judged_claims(scale: str) -> list[tuple[Claim, Point, Judgement]]:
    """Every claim at every point that decides it, in the order of the list."""
    results = Results(scale)
    return [(claim, point, results.judge(claim.test, point)) for claim in CLAIMS for point in claim.at]


def claims_table(scale: str) -> pd.DataFrame:
    """The ledger at one scale, a row per claim and point.

    Columns: claim (gist), at, where, stated by (`paper` or `us`), in the text (`Claim.in_the_text`), group, obvious,
    test, paper and effect (in points; a difference with its sign, otherwise the level; the effect ± half its 95 %
    interval), seeds, verdict, no look-alikes (the verdict in that form), points in the paper and points
    (`Results.signs`), note. Raises BctError for an unknown scale or a damaged file; the row of a claim that was not
    measured says so.
    """
    results = Results(scale)
    rows = [_row(results, claim, point) for claim in CLAIMS for point in claim.at]
    return pd.DataFrame(rows).set_index("id")


def _row(results: Results, claim: Claim, point: Point) -> dict[str, object]:
    judged, distinct = results.judge(claim.test, point), point.without_lookalikes
    paper_signs, signs = results.signs(claim.test, point) or (DASH, DASH)
    return {
        "id": claim.name if len(claim.at) == 1 else f"{claim.name} {point.label}",
        "claim": claim.gist,
        "at": point.label,
        "where": claim.where,
        "stated by": "us" if claim.ours else "paper",
        "in the text": claim.in_the_text,
        "group": claim.group,
        "obvious": claim.obvious,
        "test": f"{claim.test.words} ({point.words})",
        "paper": _paper_text(claim.test, point),
        "effect": effect_text(claim.test, judged),
        "seeds": len(judged.effect.seeds) if judged.effect else 0,
        "verdict": judged.verdict,
        "no look-alikes": results.judge(claim.test, distinct).verdict if distinct else DASH,
        "points in the paper": paper_signs,
        "points": signs,
        "note": claim.note,
    }


def swaying(table: pd.DataFrame) -> pd.DataFrame:
    """The rows whose verdict differs between operating points, or changes without look-alikes."""
    several = table["points"].map(lambda signs: len(set(signs)) > 1)
    distinct = table["no look-alikes"]
    return table[several | (distinct != DASH) & (distinct != table["verdict"])]


def shown_scale(scale: str) -> str:
    """The scale itself if any claim was measured at it, else `desk`, because its results are committed."""
    return scale if any(judged.effect for _, _, judged in judged_claims(scale)) else "desk"


def effect_text(test: Comparison, judged: Judgement) -> str:
    """Mean and half of the interval, with a sign if it is a difference."""
    return judged.effect.text(sign=test.right is not None) if judged.effect else DASH


def _paper_text(test: Comparison, point: Point) -> str:
    printed = test.paper(point)
    return DASH if printed is None else f"{printed:{'+' if test.right else ''}.2f}"


def counts_table(table: pd.DataFrame) -> pd.DataFrame:
    """How many of the paper's statements have each verdict, a row per group (GROUPS); obvious ones are left out."""
    counted = table[(table["stated by"] == "paper") & ~table["obvious"]]
    rows = {group: Counter(counted.loc[counted["group"] == group, "verdict"]) for group in GROUPS}
    frame = pd.DataFrame([{each: rows[group][each] for each in VERDICTS} for group in GROUPS], index=pd.Index(GROUPS))
    return frame.rename_axis("the paper says")


def counts_text(table: pd.DataFrame) -> str:
    """The counts of the first group, then of all other statements of the paper, and of ours."""
    counts = counts_table(table)
    rest = counts.drop(index=COMPATIBLE).sum()
    ours = Counter(table.loc[table["stated by"] == "us", "verdict"])
    stated = table[(table["stated by"] == "paper") & ~table["obvious"] & table["in the text"]]
    obvious = int((table["obvious"] & (table["stated by"] == "paper")).sum())
    return (
        f"Of {counts.loc[COMPATIBLE].sum()} rows in which the paper says that a pair of models is compatible, "
        f"{_listed(counts.loc[COMPATIBLE])}. Of {rest.sum()} other statements, {_listed(rest)}. "
        f"Of both, its text states {len(stated)} ({_listed(Counter(stated['verdict']))}); "
        "the others are only printed in a table. "
        f"Of {ours.total()} that are ours, {_listed(ours)}. {obvious} that could hardly fail are not counted."
    )


def _listed(verdicts: Mapping[str, int]) -> str:
    verbs = {
        HOLDS: ("holds", "hold"), FAILS: ("fails", "fail"), UNDECIDED: ("is undecided", "are undecided"),
        NOT_MEASURED: ("is not measured", "are not measured"),
    }  # fmt: skip
    return ", ".join(f"{verdicts[each]} {verbs[each][int(verdicts[each]) != 1]}" for each in VERDICTS if verdicts[each])


def reading_guide(*sections: str, scale: str = "desk") -> pd.DataFrame:
    """The paper's statements of these sections (keys of SECTIONS) and ours, with the verdict here: for a notebook.

    Columns: where, at, paper and here (in points; ± half of the 95 % interval), seeds, verdict, note. Raises as
    `claims_table` does.
    """
    names = {claim.name for section in sections for claim in SECTIONS[section]}
    table = claims_table(scale)
    table = table[[index.split(" ")[0] in names for index in table.index]]
    shown = table.assign(claim=[_gist(row) for row in table.to_dict("records")]).set_index("claim")
    return shown.rename(columns={"effect": "here"})[["where", "at", "paper", "here", "seeds", "verdict", "note"]]


def open_claims(table: pd.DataFrame) -> pd.DataFrame:
    """The paper's statements that do not hold, with what is known of the reason; `table`: the ledger."""
    shown = table[(table["stated by"] == "paper") & (table["verdict"] != HOLDS)]
    reasons = [REASONS.get(index.split(" ")[0], "not tested") for index in shown.index]
    shown = shown.assign(reason=reasons).rename(columns={"effect": "here"}).set_index("claim")
    return shown[["at", "paper", "here", "seeds", "verdict", "reason"]]


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
    print(f"Which of the paper's claims hold on open data, at {scale} scale\n{counts_text(table)}")
    print(counts_table(table).to_string())
    print(f"{RULE}\nIn points of per cent. points: in the paper and here. {SIGNS}")
    rows = iter(table.to_dict("records"))
    for section, claims in SECTIONS.items():
        print(f"\n{section}\n{'verdict':13}{'at':10}{'here':>13}{'paper':>8}  {'seeds':6}{'points':14}claim")
        for row in (next(rows) for claim in claims for _ in claim.at):
            points = DASH if row["points"] == DASH else f"{row['points in the paper']} {row['points']}"
            print(f"{row['verdict']:13}{row['at']:10}{row['effect']:>13}{row['paper']:>8}  {row['seeds']:<6}{points:14}"
                  f"{_gist(row)} ({row['where']})")  # fmt: skip


def _gist(row: Mapping[str, object]) -> str:
    return f"ours: {row['claim']}" if row["stated by"] == "us" else str(row["claim"])


def highlights_section(names: Collection[str], scale: str = "desk") -> str:
    """For the README: the counts over the whole ledger, and one line per named claim with its verdict at each point.

    names: of claims (`Claim.name`), shown in the order of the ledger. Raises BctError for an unknown name, and as
    `claims_table` does.
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
    counts = counts_table(table).reset_index()
    lines = [
        f"| {' | '.join(map(str, row))} |" for row in (counts.columns, ["---"] * len(counts.columns), *counts.values)
    ]
    parts = [f"{counts_text(table)} {_TWICE}", "\n".join(lines), f"{RULE} {SIGNS}"]
    for section, claims in SECTIONS.items():
        titles = ("statement", "where", "at", "paper", "here", "seeds", "points in the paper", "points", "verdict")
        lines = [f"## {section}", "", f"| {' | '.join(titles)} |", "|---" * len(titles) + "|"]
        for row in (next(rows) for claim in claims for _ in claim.at):
            note = f" *({row['note']})*" if row["note"] else ""
            signs = (row[name] if row[name] == DASH else f"`{row[name]}`" for name in ("points in the paper", "points"))
            cells = (*(row[name] for name in ("where", "at", "paper", "effect", "seeds")), *signs)
            lines.append(f"| {_gist(row)}{note} | {' | '.join(map(str, cells))} | **{row['verdict']}** |")
        parts.append("\n".join(lines))
    return "\n\n".join(parts)
