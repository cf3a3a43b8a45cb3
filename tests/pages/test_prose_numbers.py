"""Numbers that prose quotes follow from the committed results: differences paired by seed, with 95 % intervals."""

import nbformat
import numpy as np
import pandas as pd
import pytest
from pages import page_text
from scipy import stats

from bctlib.base.locations import PROJECT, notebooks_dir
from companion.tables.claims import ledger

ONE, MANY = ("verification", "TAR@FAR"), ("identification", "TPIR@FPIR")
RANK = ("identification", "rank")


def measured(tables: str, pair: tuple[str, str], at: tuple[str, str], point: float) -> pd.Series:
    """Accuracy by seed, from the first of the tables that has it."""
    for table in tables.split():
        rows = pd.read_csv(PROJECT / f"results/desk/{table}.csv")
        rows = rows[(rows.query_model == pair[0]) & (rows.gallery_model == pair[1])]
        rows = rows[(rows.protocol == at[0]) & (rows.metric == at[1])]
        rows = rows[np.isclose(pd.to_numeric(rows.operating_point, errors="coerce"), point, rtol=1e-9)]
        if len(rows):
            return rows.set_index("seed").value
    raise LookupError((tables, pair, at, point))


def interval(values: pd.Series, plus: str = "+") -> str:
    values = values.dropna()
    half = stats.t.ppf(0.975, len(values) - 1) * values.std() / np.sqrt(len(values))
    return f"{values.mean():{plus}.1f} ± {half:.1f}".replace("-", "−")


def prose(name: str) -> str:
    (path,) = notebooks_dir().glob(f"{name}_*.ipynb")
    return "\n".join(cell.source for cell in nbformat.read(path, 4).cells if cell.cell_type == "markdown")


OLD = ("old", "old")
DIFFERENCES = [
    ("01 06", "table8", ("new-bct", "old"), OLD, ONE, 1e-4),
    ("01 06", "table8", ("new-bct", "old"), OLD, MANY, 1e-2),
    ("01", "table8", ("new-bct", "old"), OLD, ONE, 1e-5),
    ("01", "table8", ("new-bct", "old"), OLD, RANK, 1),
    ("01", "table8", ("new-bct-kd", "old"), OLD, ONE, 1e-4),
    ("01", "table8", ("new-bct-sys", "old"), OLD, ONE, 1e-4),
    ("01", "table8", ("new-bct-sys", "old"), OLD, MANY, 1e-2),
    ("01", "table8", ("new-lwf", "old"), OLD, RANK, 1),
    ("06", "tradeoff", ("new-bct@10", "old"), OLD, ONE, 1e-4),
    ("02", "table7", ("new-from-25", "old-25"), ("old-25", "old-25"), ONE, 1e-4),
    ("02 06", "stronger", ("new-from-25-sys", "old-25"), ("old-25", "old-25"), ONE, 1e-4),
    ("03", "table9", ("phi3", "phi1"), ("phi1", "phi1"), ONE, 1e-2),
    ("03 06", "stronger table9", ("phi3@10", "phi1"), ("phi1", "phi1"), ONE, 1e-4),
]


@pytest.mark.parametrize(("notebooks", "tables", "pair", "base", "at", "point"), DIFFERENCES)
def test_a_quoted_difference_is_that_of_the_results(notebooks, tables, pair, base, at, point):
    difference = measured(tables, pair, at, point) - measured(tables, base, at, point)
    assert all(interval(difference) in prose(name) for name in notebooks.split()), interval(difference)


def test_what_the_chain_costs_is_that_of_the_results():
    own = {name: measured(table, (name, name), ONE, 1e-4) for name, table in
           (("phi3@10", "stronger"), ("phi3", "table9"), ("new*", "table2"), ("chain6", "long_chain"))}  # fmt: skip
    text = prose("03")
    assert f"loses {interval(own['phi3'] - own['phi3@10'], '')} points against phi3 at lambda 1" in text
    assert f"{interval(own['new*'] - own['phi3@10'], '')} points below the independent model" in text
    assert f"phi3 is {interval(own['phi3'] - own['new*'], '')} points *above*" in text
    assert f"the sixth version {interval(own['chain6'] - own['new*'], '')}." in text


def gain(at: tuple[str, str], point: float) -> tuple[pd.Series, pd.Series]:
    """BCT's gain and the paragon's, by seed; Eq. 9 is the ratio of their means."""
    old = measured("table8", OLD, at, point)
    return tuple(measured("table8", pair, at, point) - old for pair in (("new-bct", "old"), ("new*", "new*")))


def test_the_gain_against_strictness_is_that_of_the_results():
    points = {ONE: (1e-2, 1e-3, 1e-4, 1e-5), MANY: (1e-1, 1e-2, 1e-3)}
    for at in points:
        shares = [100 * bct.mean() / paragon.mean() for bct, paragon in (gain(at, point) for point in points[at])]
        shares = [f"{share:.0f}".replace("-", "−") for share in shares]
        assert f"{', '.join(shares[:-1])} and {shares[-1]} %" in prose("01")
        assert at != ONE or f"({', '.join(shares)} %)" in page_text("README.md")
    strict, loose = (100 * bct / paragon for bct, paragon in (gain(ONE, point) for point in (1e-5, 1e-2)))
    assert "at FAR = 1e-5 less that at 1e-2 is −83 ± 39 points" in prose("01")
    assert interval(strict - loose) == "−83.0 ± 39.2"


def test_the_22_compatible_pairs_are_counted_from_the_ledger():
    table = ledger.claims_table("desk")
    says = table[table.claim.str.contains("satisf|is compatible with") & (table.paper != "–")]
    counts = says.verdict.value_counts()
    sentence = f"{counts['holds']} hold, {counts['fails']} fail and {counts['undecided']} are undecided"
    assert len(says) == 22
    assert f"Of the 22 rows in which the paper says that a pair *is* compatible, {sentence}" in prose("06")
    assert f"Of the 22 rows in which the paper says that a pair of models *is* compatible, {sentence}" in page_text(
        "README.md"
    )
