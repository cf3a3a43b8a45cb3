"""Tidy results: merged by key, verified on load, summarised over seeds."""

import multiprocessing
import subprocess

import numpy as np
import pandas as pd
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st
from tiny import row

from bctlib.base import provenance as provenance_module
from bctlib.base.errors import BctError
from companion.results import COLUMNS, load_rows, point_text, provenance, results_file, save_rows, summarise


@pytest.fixture(autouse=True)
def results_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("BCT_RESULTS", str(tmp_path))
    return tmp_path


def test_rows_come_back_as_saved_with_their_types():
    save_rows([row(value=0.123456789)], "smoke", "table1")
    loaded = load_rows("smoke", "table1")
    assert list(loaded.columns) == list(COLUMNS)
    assert loaded.iloc[0].to_dict() == row(table="table1", scale="smoke", value=0.123457, operating_point="0.0001")
    assert loaded["seed"].dtype == np.int64 and loaded["value"].dtype == np.float64


def test_same_key_replaces_and_other_keys_stay():
    save_rows([row(), row(seed=1, value=0.5)], "smoke", "table1")
    save_rows(pd.DataFrame([row(seed=1, value=0.6), row(seed=2, value=0.7)]), "smoke", "table1")
    assert load_rows("smoke", "table1")["value"].tolist() == [0.75, 0.6, 0.7]


def test_measuring_the_same_again_leaves_the_file_as_it_was():
    path = save_rows([row(seed=s, value=1 / (s + 3)) for s in range(3)], "smoke", "table1")
    before = path.read_bytes()
    save_rows([row(seed=s, value=1 / (s + 3), commit="later", seconds=9) for s in (2, 0)], "smoke", "table1")
    assert path.read_bytes() == before
    save_rows([row(versions="bctlib 0.2.0")], "smoke", "table1")
    assert path.read_bytes() != before, "other versions are another measurement"


def test_a_clean_commit_replaces_a_dirty_one():
    save_rows([row(commit="abc-dirty")], "smoke", "table1")
    save_rows([row(commit="def")], "smoke", "table1")
    assert load_rows("smoke", "table1")["commit"].tolist() == ["def"]


def test_order_does_not_depend_on_who_came_first(results_folder):
    rows = [row(seed=s, operating_point=p, method=m) for s in (0, 1) for p in (1e-5, 1e-4, 0.1) for m in ("BCT", "l2")]
    one = save_rows(rows, "smoke", "table1").read_bytes()
    results_file("smoke", "table1").unlink()
    for single in reversed(rows):
        save_rows([single], "smoke", "table1")
    assert results_file("smoke", "table1").read_bytes() == one
    points = load_rows("smoke", "table1").query("seed == 0 and method == 'BCT'")["operating_point"].tolist()
    assert points == ["1e-05", "0.0001", "0.1"]


@given(st.floats(min_value=1e-9, max_value=1e3))
def test_a_point_has_one_spelling(point):
    assert point_text(point) == point_text(repr(point)) == point_text(point_text(point))


def test_no_operating_point_and_no_number_are_kept():
    save_rows([row(operating_point=None, value=float("nan"))], "smoke", "table1")
    loaded = load_rows("smoke", "table1")
    assert loaded["operating_point"].tolist() == [""] and np.isnan(loaded["value"]).all()


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"seed": 1.5}, "column seed"),
        ({"n_behind": -1}, "column n_behind"),
        ({"value": float("inf")}, "column value"),
        ({"value": "high"}, "column value"),
        ({"method": ""}, "column method"),
        ({"scale": "desk"}, "has scale 'desk', expected 'smoke'"),
        ({"table": "table9"}, "has table 'table9', expected 'table1'"),
        ({"colour": "red"}, "unknown column 'colour'"),
    ],
)
def test_bad_rows_are_refused_before_anything_is_written(changes, said):
    with pytest.raises(BctError, match=said):
        save_rows([row(), row(**changes)], "smoke", "table1")
    assert not results_file("smoke", "table1").exists()


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("table1,smoke,1", "table1,desk,1", "line 3: has scale 'desk'"),
        ("table1,smoke,1", "table1,smoke,one", "line 3: has 'one' in the column seed"),
        ("table1,smoke,1,", "table1,smoke,1,,", "line 3: has 16 cells"),
        ("gallery_model", "gallery", "line 1: expected the columns"),
    ],
)
def test_a_damaged_file_is_named_with_its_line(old, new, said):
    path = save_rows([row(), row(seed=1)], "smoke", "table1")
    path.write_text(path.read_text().replace(old, new))
    with pytest.raises(BctError, match=said) as error:
        load_rows("smoke", "table1")
    assert str(path) in str(error.value)
    damaged = path.read_bytes()
    with pytest.raises(BctError):
        save_rows([row(seed=2)], "smoke", "table1")
    assert path.read_bytes() == damaged


def test_missing_results_say_how_to_get_them():
    with pytest.raises(BctError, match=r"reproduce.sh table1 --scale smoke"):
        load_rows("smoke", "table1")
    with pytest.raises(BctError, match="did you mean 'smoke'"):
        load_rows("smok", "table1")


def test_the_device_with_most_seeds_is_taken_and_said(capsys):
    save_rows([row(device="GPU"), row(), row(seed=1)], "smoke", "table1")
    assert set(load_rows("smoke", "table1")["device"]) == {"cpu: X, 2 threads"}
    assert "2 kinds of device; showing cpu: X" in capsys.readouterr().err
    assert set(load_rows("smoke", "table1", device="GPU")["device"]) == {"GPU"}
    with pytest.raises(BctError, match="no rows of device 'TPU'"):
        load_rows("smoke", "table1", device="TPU")


def test_summary_is_students_interval():
    values = [0.70, 0.74, 0.69, 0.75, 0.72]
    save_rows([row(seed=4 - i, value=v) for i, v in enumerate(values)] + [row(metric="gain")], "smoke", "table1")
    summary = summarise(load_rows("smoke", "table1")).set_index("metric")

    tar = summary.loc["TAR@FAR"]
    expected = scipy.stats.t.interval(0.95, 4, loc=np.mean(values), scale=scipy.stats.sem(values))
    assert (tar["low"], tar["high"]) == pytest.approx(expected)
    assert tar["n_seeds"] == 5 and tar["seeds"] == (0, 1, 2, 3, 4) and tar["values"] == tuple(reversed(values))
    assert summary.loc["gain"]["n_seeds"] == 1 and np.isnan(summary.loc["gain"]["half_width"])


def test_summary_refuses_to_mix_scales():
    frames = [load_rows(scale, "table1") for scale in ("smoke", "desk") if save_rows([row()], scale, "table1")]
    with pytest.raises(BctError, match="several scales"):
        summarise(pd.concat(frames))


def _save_seed(seed: int) -> None:
    save_rows([row(seed=seed)], "smoke", "table1")


def test_processes_that_save_at_once_lose_nothing(results_folder):
    with multiprocessing.get_context("fork").Pool(4) as pool:
        pool.map(_save_seed, range(12))
    assert load_rows("smoke", "table1")["seed"].tolist() == list(range(12))
    left = {path.name for path in (results_folder / "smoke").iterdir()}
    assert left <= {"table1.csv", ".table1.lock"}


def test_what_a_device_lacks_is_taken_from_another_and_both_are_named():
    bct, old = {"query_model": "new-bct"}, {"query_model": "old"}
    save_rows([row(**old, device="GPU", value=1), row(**old, device="GPU", seed=1, value=2)], "smoke", "table1")
    save_rows([row(**bct, device="CPU", value=3), row(**old, device="CPU", seed=2, value=4)], "smoke", "table1")
    rows = load_rows("smoke", "table1", device="GPU")
    assert rows[["query_model", "seed", "value"]].values.tolist() == [["new-bct", 0, 3], ["old", 0, 1], ["old", 1, 2]]
    assert set(rows["device"]) == {"CPU and GPU"}
    found = summarise(rows).set_index("query_model")
    assert found.loc["old", "values"] == (1, 2) and found.loc["new-bct", "seeds"] == (0,)
    rows = load_rows("smoke", "table1", device="CPU")
    there = rows[["query_model", "seed", "value"]].values.tolist()
    assert sorted(there) == [["new-bct", 0, 3], ["old", 0, 1], ["old", 2, 4]]


def test_seeds_of_processors_of_one_precision_share_a_mean_and_precisions_never_do(capsys):
    amd, intel, laptop = (
        f"cpu: {name}" for name in ("A, 1 thread, bfloat16", "I, 2 threads, bfloat16", "L, 8 threads, float32")
    )
    save_rows([row(device=amd, value=1), row(device=intel, seed=1, value=2)], "smoke", "table1")
    save_rows([row(device=laptop, seed=seed, value=9) for seed in (0, 2)], "smoke", "table1")
    rows = load_rows("smoke", "table1")
    assert rows["value"].tolist() == [1, 2] and set(rows["device"]) == {f"{amd} and {intel}"}
    assert "2 kinds of device; showing cpu: A" in capsys.readouterr().err
    assert load_rows("smoke", "table1", "cpu, float32")["value"].tolist() == [9, 9]
    assert load_rows("smoke", "table1", intel)["value"].tolist() == [2]


def test_a_seed_is_of_the_device_that_measured_most_of_it():
    whole, rerun = "cpu: A, 1 thread, bfloat16", "cpu: I, 1 thread, bfloat16"
    pairs = [{"query_model": name} for name in ("old", "new-bct")]
    save_rows([row(**pair, device=whole, value=1) for pair in pairs], "smoke", "table1")
    save_rows([row(**pairs[0], device=rerun, value=5)], "smoke", "table1")
    assert load_rows("smoke", "table1")["value"].tolist() == [1, 1]


def test_provenance_names_device_versions_and_commit(tmp_path, monkeypatch):
    origin = provenance()
    assert origin["device"].startswith("cpu: ") and "thread" in origin["device"]
    assert all(f"{name} " in origin["versions"] for name in ("bctlib", "torch", "numpy", "python"))

    def commit() -> str:
        provenance_module._commit.cache_clear()
        return provenance_module._commit()

    def git(*words):
        identity = ["-c", "user.name=n", "-c", "user.email=e@example.org", "-c", "commit.gpgsign=false"]
        subprocess.run(["git", *identity, *words], cwd=tmp_path / "clone", check=True, capture_output=True)

    (tmp_path / "clone" / "bctlib").mkdir(parents=True)
    code = tmp_path / "clone" / "bctlib" / "code.py"
    code.write_text("one")
    monkeypatch.setattr(provenance_module, "PROJECT", tmp_path / "clone")
    try:
        assert commit() == "unknown"
        git("init")
        git("add", ".")
        git("commit", "-m", "first")
        clean = commit()
        assert len(clean) == 10 and int(clean, 16) >= 0
        (tmp_path / "clone" / "bctlib" / "untracked.py").touch()
        assert commit() == clean
        code.write_text("two")
        assert commit() == clean + "-dirty"
    finally:
        provenance_module._commit.cache_clear()
