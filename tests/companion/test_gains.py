"""Update gains by operating point: ours from results, the paper's from its Table 8, against Eq. 9 by hand."""

import pytest
from tiny import row

from companion.figures.drawn.gains import plot_update_gains
from companion.results import save_rows
from companion.tables.cells import View
from companion.tables.shown.gains import gain, gains_table, paper_gain, points


@pytest.fixture(autouse=True)
def folders(tmp_path, monkeypatch):
    monkeypatch.setenv("BCT_RESULTS", str(tmp_path))
    monkeypatch.setenv("BCT_FIGURES", str(tmp_path))


def measured(query: str, gallery: str, values: list[float], point: float = 1e-4) -> None:
    rows = [
        row(query_model=query, gallery_model=gallery, operating_point=point, seed=seed, value=value)
        for seed, value in enumerate(values)
    ]
    save_rows(rows, "smoke", "table8")


def test_a_gain_is_of_the_means():
    measured("old", "old", [50, 60])
    measured("new*", "new*", [60, 80])
    measured("new-bct", "old", [55, 58])
    found = gain("new-bct", "verification", "0.0001", View("smoke"))
    assert found.mean == pytest.approx(100 * 1.5 / 15)
    assert gain("new-bct-sys", "verification", "0.0001", View("smoke")) is None
    assert gains_table(View("smoke")).loc["(new-bct, old)", "1:1 FAR=1e-4"] == "10 (26)"
    plot_update_gains(View("smoke"))


def test_without_room_above_the_old_model_there_is_no_gain():
    measured("old", "old", [60])
    measured("new*", "new*", [60])
    measured("new-bct", "old", [61])
    assert gain("new-bct", "verification", "0.0001", View("smoke")) is None


def test_the_papers_gains_grow_with_strictness_and_are_larger_at_one_to_many():
    """By hand: (80.25 - 77.86) / (86.96 - 77.86); the paper prints 26.26 and, for 1:N, 44.98."""
    assert paper_gain("new-bct", "verification", "0.0001") == pytest.approx(26.26, abs=0.01)
    assert paper_gain("new-bct", "identification", "0.01") == pytest.approx(44.98, abs=0.01)
    assert paper_gain("new-bct", "verification", "1e-06") is None
    for protocol in ("verification", "identification"):
        found = [value for point in points(protocol) if (value := paper_gain("new-bct", protocol, point)) is not None]
        assert found == sorted(found) and len(found) >= 3
