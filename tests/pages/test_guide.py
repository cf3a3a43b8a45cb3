"""The guide to methods: gains by hand from results, what is missing said so, every command's words known."""

import re

import pytest
from tiny import row

from bctlib.methods import METHODS
from bctlib.models import AFTER_THE_PAPER, FOLLOW_UPS
from bctlib.upgrade.align import NAMES
from companion.measure.mapped.every_map import mapped
from companion.results import save_rows
from companion.tables import guide
from companion.tables.cells import View

STRICT = {"protocol": "verification", "metric": "TAR@FAR", "operating_point": 1e-4}


@pytest.fixture
def desk(tmp_path, monkeypatch):
    """Results of two seeds: old 50, sys 52 and 54, a ridge map of new* 47, of new-bct 56 above 55."""
    monkeypatch.setenv("BCT_RESULTS", str(tmp_path))
    monkeypatch.setattr("companion.results.PROJECT", tmp_path)

    def save(table, query, values, kind="", gallery="old"):
        where = STRICT | {"protocol": STRICT["protocol"] + kind}
        rows = [
            row(query_model=query, gallery_model=gallery, seed=seed, value=value, scale="desk", **where)
            for seed, value in enumerate(values)
        ]
        save_rows(rows, "desk", table)

    save("table8", "old", (50, 50))
    save("table8", "new-bct-sys", (52, 54))
    save("maps", "old", (50, 50))
    save("maps", "new*", (47, 47), mapped("ridge"))
    save("maps", "new-bct", (55, 55))
    save("maps", "new-bct", (56, 56), mapped("ridge"))
    return View("desk")


def test_gains_are_against_the_old_model_or_what_the_row_says(desk):
    section = guide.guide_section()
    lines = [[cell.strip() for cell in line.split("|")[1:-1]] for line in section.splitlines()[2:]]
    found = {line[1]: line for line in lines}
    assert found["BCT on every image (sys)"][2].startswith("+3.0 ± ")
    assert found["a ridge map, without training"][2] == "−3.0 ± 0.0"
    assert found["a ridge map on top (against the model as it is)"][2] == "+1.0 ± 0.0"
    assert found["BCT on every image (sys)"][3] == found["a map of low rank"][2] == guide.MISSING
    assert "as long as an independent one" in found["BCT on every image (sys)"][5]


def test_without_results_the_guide_says_so(tmp_path, monkeypatch):
    monkeypatch.setattr("companion.results.PROJECT", tmp_path)
    monkeypatch.setenv("BCT_RESULTS", str(tmp_path))
    assert guide.guide_section().count(guide.MISSING) == 3 * len(guide.advice())
    assert guide.MISSING in guide.backfill_section() and guide.seeds_section().count(guide.MISSING) == 3
    assert guide.own_section().count(guide.MISSING) == 2 * (3 + len(FOLLOW_UPS) + len(AFTER_THE_PAPER))


def test_commands_name_methods_and_kinds_that_exist():
    text = " ".join(each.command for each in guide.advice())
    assert set(re.findall(r"--method (\S+)", text)) <= set(METHODS)
    assert set(re.findall(r"--kind (\S+)", text)) <= set(NAMES)
    assert {spec.name for spec in (*FOLLOW_UPS, *AFTER_THE_PAPER)} <= {each.pair[0] for each in guide.advice()}
