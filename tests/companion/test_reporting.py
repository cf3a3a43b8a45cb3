"""Tables, figures and pages from results: verdicts and gains by hand, redrawn bytes, generated text."""

import matplotlib.pyplot as plt
import pytest
import seaborn

from bctlib.base import style
from bctlib.base.errors import BctError, UsageError
from bctlib.base.locations import PROJECT
from companion.experiments import find_table
from companion.figures import dots
from companion.results import save_rows
from companion.tables import cells, pairs, readme, tables
from companion.tables.cells import View

OLD, PARAGON = (50.0, 52.0), (90.0, 92.0)
CROSS = {"new*": (0.0, 0.1), "new-l2": (40.0, 53.0), "new-lwf": (49.0, 51.0), "new-bct": (60.0, 62.0)}
CROSS |= {"new-bct-kd": (61.0, 63.0), "new-bct-sys": (70.0, 72.0)}


def value(query: str, gallery: str, seed: int) -> float:
    if gallery == "old":
        return (CROSS | {"old": OLD})[query][seed]
    return (OLD if query == "old" else PARAGON)[seed]


def rows(table: str):
    about = {"method": "bct", "device": "cpu: test, 1 thread", "versions": "v", "commit": "c", "seconds": 1.0}
    protocols = {"TAR@FAR": "verification", "TPIR@FPIR": "identification", "rank": "identification"}
    for seed in (0, 1):
        for query, gallery in find_table(table).pairs:
            for metric, points in find_table(table).points.items():
                for point in points:
                    for variant in ("", tables.DISTINCT, " (validation)"):
                        yield about | {
                            "seed": seed, "query_model": query, "gallery_model": gallery, "metric": metric,
                            "protocol": protocols.get(metric, "strict criterion") + variant, "operating_point": point,
                            "value": value(query, gallery, seed), "n_behind": 100,
                        }  # fmt: skip


@pytest.fixture(autouse=True)
def results(tmp_path, monkeypatch):
    monkeypatch.setenv("BCT_RESULTS", str(tmp_path / "results"))
    monkeypatch.setenv("BCT_FIGURES", str(tmp_path / "figures"))
    for table in ("table1", "table2", "table8"):
        save_rows(list(rows(table)), "smoke", table)
    return tmp_path


def test_verdicts_gains_and_intervals_of_table_1():
    table = pairs.compatibility_table("table1", View("smoke"), "verification")
    assert list(table["Eq. 2"]) == ["–", "no", "1 of 2 seeds", "no", "yes", "yes", "yes", "–"]
    # (61 - 51) / (91 - 51), (62 - 51) / 40, (71 - 51) / 40; a dash where the mean fails Eq. 2
    assert list(table["update gain"]) == ["–", "–", "–", "–", "25.0", "27.5", "50.0", "–"]
    # 60 - 50 and 62 - 52: the seeds differ, the difference does not
    assert table.loc["(new-bct, old)", "absolute gain"] == "+10.0 ± 0.0"
    # two seeds, 60 and 62: standard error 1, Student's t of one degree of freedom at 97.5 % is 12.706
    assert table.loc["(new-bct, old)", "TAR@FAR"] == "61.0 ± 12.7"
    assert table.loc["(new-bct, old)", "paper"] == "80.25"
    assert table.loc["(new-l2, old)", "paper: Eq. 2"] == "no"


def test_every_operating_point_of_table_8_stands_beside_the_papers():
    table = pairs.accuracy_table("table8", View("smoke"))
    assert table.loc["(new-bct, old)", "1:N rank=1"] == "61.0 ± 12.7 (88.95)"
    assert table.loc["(new*, new*)", "1:1 TAR@FAR=1e-6"] == "91.0 ± 12.7"
    assert "1:N TPIR@FPIR=1e-1" in table.columns


def test_the_variant_without_look_alikes_has_its_own_heading():
    with pytest.raises(UsageError, match="fig3 is not measured without look-alikes"):
        tables.tables_of("fig3", View("smoke"), tables.DISTINCT)
    shown = tables.tables_of("table1", View("smoke"), variant=tables.DISTINCT)
    assert all(tables.DISTINCT in heading for heading, _ in shown)


def test_a_run_at_another_lambda_is_not_taken_for_this_one():
    with pytest.raises(BctError, match="table1 was not measured at lambda 0.5"):
        pairs.compatibility_table("table1", View("smoke", lam=0.5), "verification")


def test_the_figure_of_table_1_goes_without_what_diverged_and_without_a_number_of_the_paper(monkeypatch, results):
    lwf = [row for row in rows("table1") if row["query_model"] != "new-l2"]
    (results / "results/smoke/table1.csv").unlink()
    save_rows(lwf, "smoke", "table1")
    printed = dots.paper_value
    monkeypatch.setattr(dots, "paper_value", lambda t, q, *key: None if q == "new-lwf" else printed(t, q, *key))
    figure = dots.plot_baselines(View("smoke"))
    shown = [label.get_text() for label in figure.axes[0].get_yticklabels()]
    assert shown == ["new*", "new-lwf", "new-bct", "new-bct-kd", "new-bct-sys"]
    with pytest.raises(BctError, match="table1 was not measured at lambda 0.5: run `./reproduce.sh table1 -p lam 0.5`"):
        dots.plot_baselines(View("smoke", lam=0.5))


def test_a_number_that_is_not_there_is_named_with_the_run_that_makes_it():
    with pytest.raises(
        cells.NotMeasured, match=r"table1 has no TAR@FAR 0.0001 of \(new-bct@3, old\) at smoke scale: run"
    ):
        View("smoke").cells("table1")["new-bct@3", "old", "verification", "TAR@FAR", "0.0001"]


def test_results_that_are_not_there_are_asked_for_in_a_sentence():
    with pytest.raises(BctError, match=r"run `./reproduce.sh table9 --scale smoke` first"):
        View("smoke").cells("table9")


def test_a_figure_redrawn_from_the_same_results_has_the_same_bytes(results):
    drawn = []
    for _ in range(2):
        dots.plot_baselines(View("smoke"))
        drawn.append([(results / "figures/smoke" / f"table1_baselines.{kind}").read_bytes() for kind in ("pdf", "png")])
    assert drawn[0] == drawn[1]
    assert not plt.get_fignums()


def test_the_palette_is_seaborns():
    assert style.PALETTE == list(seaborn.color_palette("colorblind"))


@pytest.mark.parametrize("page", readme.SECTIONS)
def test_a_page_holds_the_committed_results(page, monkeypatch):
    monkeypatch.delenv("BCT_RESULTS")
    text = (PROJECT / page).read_text(encoding="utf-8")
    assert readme.with_sections(text, page) == text, "python -m companion.tables.readme writes it anew"


def test_the_front_page_shows_ten_claims_of_the_ledger(monkeypatch):
    monkeypatch.delenv("BCT_RESULTS")
    assert len(set(readme.HIGHLIGHTS)) == 10
    lines = readme.highlights_section(readme.HIGHLIGHTS).splitlines()
    assert len([line for line in lines if line.startswith("| ")]) == 1 + 10
    with pytest.raises(BctError, match="no claim has the name no-such-claim"):
        readme.highlights_section(["no-such-claim"])


def test_a_page_without_its_marks_is_refused():
    with pytest.raises(BctError, match="docs/claims.md must hold the marks"):
        readme.with_sections("no marks here", "docs/claims.md")
