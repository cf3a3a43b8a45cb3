"""Third versions by every method: which models they are, and their differences to both older versions, by hand."""

import pytest

from bctlib.base.errors import BctError
from bctlib.models import AFTER_THE_PAPER, MODELS, THIRD_VERSIONS, find_model
from companion.experiments import find_table
from companion.results import save_rows
from companion.tables.cells import View
from companion.tables.shown import followups
from tests.companion.test_claims import IDENTIFICATION, VERIFICATION, by_seed, rows


def test_a_third_version_differs_from_the_chains_in_nothing_but_the_method():
    expected = {"phi3-kd", "phi3-sys"} | {spec.name.replace("new", "phi3") for spec in AFTER_THE_PAPER}
    assert {spec.name for spec in THIRD_VERSIONS} == expected
    for spec in THIRD_VERSIONS:
        assert spec.old == MODELS["phi3"].old and spec.share == 1.0
    assert find_model("phi3-oca@0.5").old == "phi2@0.5"
    assert followups.third_version("new-bct") == "phi3" and followups.third_version("new-bct-sys") == "phi3-sys"


def test_differences_and_predictions_by_hand(tmp_path, monkeypatch):
    monkeypatch.setenv("BCT_RESULTS", str(tmp_path))
    values = {  # at 1:1 and at 1:N: (against phi2, against phi1) less the older version's own
        "phi3": ((2, 1), (3, 1)), "phi3-sys": ((1, -1), (3, 4)), "phi3-lce": ((-3, -2), (1, 0)),
    }  # fmt: skip
    for number, point in enumerate((VERIFICATION, IDENTIFICATION)):
        for older, own in (("phi2", (50, 70)), ("phi1", (40, 60))):
            save_rows(rows((older, older), by_seed(*own), point), "smoke", "grandparents")
            for name, by_point in values.items():
                gain = by_point[number][older == "phi1"]
                save_rows(rows((name, older), by_seed(*(each + gain for each in own)), point), "smoke", "grandparents")
    view = View("smoke")
    ((_, table),) = followups.grandparent_tables(find_table("grandparents"), view)
    assert list(table.index) == ["phi3", "phi3-sys", "phi3-lce"]
    assert table.loc["phi3-sys", "(phi1) 1:1 FAR=1e-4"] == "49.0 ± 127.1 (-1.0 ± 0.0)"
    assert table.loc["phi3-sys", "(phi1) Eq. 2, 1:1"] == "no" and table.loc["phi3", "(phi1) Eq. 2, 1:1"] == "yes"
    lines = followups.grandparent_predictions(view).splitlines()
    assert ["Came true" in line for line in lines] == [False, True, True]
    assert "0.50" in lines[1] or "1.00" in lines[1]
    assert "2 of 3" in lines[2]


def test_without_results_it_says_how_to_make_them(tmp_path, monkeypatch):
    monkeypatch.setenv("BCT_RESULTS", str(tmp_path))
    with pytest.raises(BctError, match="reproduce.sh grandparents --scale smoke"):
        followups.grandparent_tables(find_table("grandparents"), View("smoke"))
