"""Runs and kernels at smoke and desk scale keep to one thread, unless the user says how many."""

import pytest
from test_launcher import run_toy
from toy_launcher import write_toy_notebook

from companion.launcher.jupyter import lab
from companion.launcher.threads import THREADS, with_threads


@pytest.mark.parametrize("scale", ["smoke", "desk"])
def test_small_scales_keep_to_one_thread_unless_told(scale):
    assert with_threads({"A": "b"}, scale) == {"A": "b", THREADS: "1"}
    assert with_threads({THREADS: "6"}, scale) == {THREADS: "6"}


@pytest.mark.parametrize("scale", ["gpu", "paper"])
def test_large_scales_keep_all_cores(scale):
    assert with_threads({"A": "b"}, scale) == {"A": "b"}


def test_kernels_of_the_lab_keep_to_one_thread():
    assert lab.environment({})[THREADS] == "1"
    assert lab.environment({THREADS: "6"})[THREADS] == "6"


@pytest.mark.parametrize(("asked", "seen"), [(None, "1"), ("3", "3")])
def test_a_notebook_that_the_launcher_runs_sees_it(tmp_path, monkeypatch, asked, seen):
    monkeypatch.delenv(THREADS, raising=False)
    if asked:
        monkeypatch.setenv(THREADS, asked)
    write_toy_notebook(tmp_path, f"import os\nprint('threads:', os.environ.get('{THREADS}'))")
    status, _, err = run_toy(tmp_path, "toy", "--scale", "smoke")
    assert (status, err) == (0, "")
    assert f"threads: {seen}\\n" in (tmp_path / "runs" / "toy-smoke.ipynb").read_text()
