"""The paper's numbers: Eqs. 2 and 9 reproduce its ticks and gains, and what is printed twice agrees."""

import math
from itertools import combinations

import pytest

from bctlib.metrics import absolute_gain, is_compatible, update_gain
from companion.tables.cells import KEY, load_paper_numbers, paper_value

ACCURACIES = ("TAR@FAR", "TPIR@FPIR", "rank", "mAP")
NUMBERS = load_paper_numbers()

# The paper divides by phi2's paragon gap here; Eq. 9 with phi3's own paragon gives other values. (printed, Eq. 9)
WRONG_PARAGON = {"verification": (34.41, 27.53), "identification": (36.80, 24.91)}
# Printed once more than 0.05 away from Eq. 9 on the printed accuracies: (printed, Eq. 9).
KD_MISPRINT = (55.11, 55.19)
# The models of Table 4 by the names they have in Table 1: the chain's paragons were trained alone.
SAME_MODEL = {"phi2*": "old", "phi3*": "new*"}
# One 25 % model should have one accuracy at an operating point; no pair of tables agrees exactly. (Table 7, Table 9)
THE_25_PERCENT_MODEL = {
    ("TAR@FAR", "1e-05"): (29.40, 29.24), ("TAR@FAR", "0.0001"): (51.77, 41.45), ("TAR@FAR", "0.001"): (73.30, 73.40),
    ("TAR@FAR", "0.01"): (88.97, 89.06), ("TPIR@FPIR", "0.001"): (11.34, 11.30), ("TPIR@FPIR", "0.01"): (26.84, 22.57),
    ("TPIR@FPIR", "0.1"): (54.00, 54.39), ("rank", "1"): (71.67, 71.52), ("rank", "5"): (82.94, 82.87),
}  # fmt: skip


def accuracy(row, query, gallery):
    metric = {"verification": "TAR@FAR", "identification": "TPIR@FPIR", "reid": "mAP"}[row.protocol]
    return paper_value(row.table, query, gallery, row.protocol, metric, row.operating_point)


def old_of(row):
    """The old model of a printed pair: the gallery's, but the query's in Table 5, which prints (old, new)."""
    return row.query_model if row.table == "table5" else row.gallery_model


def paragon_of(row):
    """The model whose full backfill bounds the pair's gain from above."""
    if row.table == "table4":
        return {"phi2": "phi2*", "phi3": "phi3*"}[row.query_model]
    return "new*"


def rows_of(metric):
    return list(NUMBERS[NUMBERS.metric == metric].itertuples(index=False))


def name(row):
    return f"{row.table}-{row.protocol}-{row.query_model}-{row.gallery_model}"


def test_every_printed_line_is_there():
    assert not NUMBERS.duplicated(KEY).any() and not NUMBERS.isna().any().any()
    accuracies = NUMBERS[NUMBERS.metric.isin(ACCURACIES)]
    assert accuracies.groupby("table").size().to_dict() == {
        "table1": 16, "table2": 10, "table3": 18, "table4": 14, "table5": 5, "table7": 12 * 9, "table8": 8 * 9,
        "table9": 6 * 9,
    }  # fmt: skip
    assert NUMBERS[NUMBERS.metric == "compatible"].groupby("table").size().to_dict() == {
        "table1": 12, "table3": 10, "table4": 6, "table5": 2,
    }  # fmt: skip
    assert accuracies.value.between(0, 100).all()


@pytest.mark.parametrize("row", rows_of("compatible"), ids=name)
def test_eq_2_reproduces_every_tick(row):
    pair, old = accuracy(row, row.query_model, row.gallery_model), accuracy(row, old_of(row), old_of(row))
    assert is_compatible(pair, old) == bool(row.value)
    printed_gain = paper_value(*[getattr(row, key) for key in KEY[:4]], "update_gain", row.operating_point)
    assert (printed_gain is not None) == bool(row.value)


@pytest.mark.parametrize("row", rows_of("update_gain"), ids=name)
def test_eq_9_reproduces_every_gain(row):
    pair, old = accuracy(row, row.query_model, row.gallery_model), accuracy(row, old_of(row), old_of(row))
    paragon = accuracy(row, paragon_of(row), paragon_of(row))
    gain = 100 * update_gain(pair, old, paragon)
    if (row.table, row.query_model, row.gallery_model) == ("table4", "phi3", "phi1"):
        printed, by_eq_9 = WRONG_PARAGON[row.protocol]
        assert row.value == printed and gain == pytest.approx(by_eq_9, abs=0.005)
        wrong = accuracy(row, "phi2*", "phi2*")
        assert printed == pytest.approx(100 * update_gain(pair, old, wrong), abs=0.01)
        return
    assert row.value == pytest.approx(gain, abs=0.1)
    if abs(row.value - gain) > 0.05 and row.table != "table5":  # Table 5 has one decimal
        assert (row.value, round(gain, 2)) == KD_MISPRINT


@pytest.mark.parametrize("row", rows_of("absolute_gain"), ids=name)
def test_absolute_gains(row):
    own = row.query_model == row.gallery_model
    old = ({"phi2*": "phi1", "phi3*": "phi2*"}.get(row.query_model, "old")) if own else old_of(row)
    gain = absolute_gain(accuracy(row, row.query_model, row.gallery_model), accuracy(row, old, old))
    assert row.value == pytest.approx(gain, abs=0.01)


def test_undefined_gains_are_printed_as_dashes():
    assert paper_value("table1", "new-lwf", "old", "verification", "update_gain", 1e-4) is None
    assert math.isnan(update_gain(77.26, 77.86, 86.96))


def test_numbers_printed_twice_agree():
    accuracies = NUMBERS[NUMBERS.metric.isin(ACCURACIES) & (NUMBERS.table != "table5")].copy()
    for column in ("query_model", "gallery_model"):
        accuracies[column] = accuracies[column].replace(SAME_MODEL)
    n_checked = 0
    for key, group in accuracies.groupby(KEY[1:]):
        for (_, one), (_, other) in combinations(group.iterrows(), 2):
            assert one.value == other.value, f"{key}: {one.table} and {other.table}"
            n_checked += 1
    assert n_checked >= 60


def test_the_25_percent_model_disagrees_with_itself_as_noted():
    for (metric, point), expected in THE_25_PERCENT_MODEL.items():
        protocol = "verification" if metric == "TAR@FAR" else "identification"
        seven = paper_value("table7", "old-25", "old-25", protocol, metric, point)
        nine = paper_value("table9", "phi1", "phi1", protocol, metric, point)
        assert (seven, nine) == expected
        assert abs(seven - nine) < 0.4 or point in ("0.0001", "0.01")
    assert paper_value("table4", "phi1", "phi1", "verification", "TAR@FAR", 1e-4) == 41.45


def test_eq_2_judges_each_operating_point():
    """What the paper's one operating point hides (Tables 7, 8 and 9)."""

    def verdicts(table, new, old, metric, protocol="verification"):
        rows = NUMBERS[(NUMBERS.table == table) & (NUMBERS.metric == metric) & (NUMBERS.protocol == protocol)]
        points = rows.operating_point.unique()
        values = [[paper_value(table, q, old, protocol, metric, p) for q in (new, old)] for p in points]
        return {point: is_compatible(*value) for point, value in zip(points, values, strict=True)}

    assert verdicts("table9", "phi3", "phi1", "TAR@FAR") == {
        "1e-05": True, "0.0001": True, "0.001": False, "0.01": False
    }  # fmt: skip
    assert verdicts("table7", "new-from-90", "old-90", "TAR@FAR") == {
        "1e-05": True, "0.0001": False, "0.001": False, "0.01": True
    }  # fmt: skip
    assert not verdicts("table8", "new-bct-sys", "old", "TAR@FAR")["0.01"]
    assert verdicts("table8", "new-lwf", "old", "rank", "identification") == {"1": True, "5": True}


def test_look_up():
    assert paper_value("table1", "new-bct", "old", "verification", "TAR@FAR", 1e-4) == 80.25
    assert paper_value("table1", "new-bct", "old", "verification", "TAR@FAR", "1e-4") == 80.25
    assert paper_value("table8", "new*", "new*", "identification", "rank", 5) == 95.72
    assert paper_value("table5", "old", "new-bct", "reid", "mAP") == 45.0
    assert paper_value("table5", "new-bct", "old", "reid", "mAP") is None  # printed in one direction only
    changed = load_paper_numbers()
    changed["value"] = 0.0  # a copy: the numbers themselves stay
    assert paper_value("table1", "old", "old", "verification", "TAR@FAR", 1e-4) == 77.86
