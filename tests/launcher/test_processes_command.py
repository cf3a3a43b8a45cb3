"""`--processes N` and `train_models`: what is refused before anything runs, and what is started with which words."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import toy_launcher
from toy_launcher import write_toy_notebook

from bctlib.base.locations import PROJECT
from companion.launcher import main, processes, train_models


@pytest.fixture
def toy(tmp_path, monkeypatch) -> Path:
    write_toy_notebook(tmp_path, "print(scale, seeds, lam)")
    toy_launcher.install(tmp_path, monkeypatch.setattr)
    for name, module in toy_launcher.fake_modules().items():
        monkeypatch.setitem(sys.modules, name, module)
    return tmp_path


@pytest.fixture
def started(toy, monkeypatch) -> list:
    """What would have been started, in order; everything ends well."""
    runs = []
    monkeypatch.setattr(processes, "run_watched", lambda *words, **environment: runs.append((*words,)) or 0)
    monkeypatch.setattr(main, "run_notebook", lambda *words: runs.append(words) or 0)
    return runs


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("toy --processes two", "processes: expected a whole number of 1 or more, not 'two'"),
        ("toy --processes 0", "processes: expected a whole number of 1 or more, not '0'"),
        ("toy --scale smoke --processes 3", "a batch of 64 images cannot be shared equally by 3 processes"),
        ("plan toy --processes 2", "plan does not take --processes"),
    ],
)
def test_what_cannot_be_shared_exits_2_before_anything_runs(started, capsys, words, said):
    assert main.main(words.split()) == 2
    error = capsys.readouterr().err
    assert said in error and len(error.splitlines()) == 1 and not started


def test_models_are_trained_in_processes_before_the_notebook_runs(started):
    words = "toy --scale smoke --seeds 0,3 --processes 2 --force -p lam 0.5"
    assert main.main(words.split()) == 0
    (module, (n, trains, said)), (_, _, parameters) = started
    assert (module, n, trains) == ("companion.launcher.processes", "2", "companion.launcher.train_models")
    expected = "--scale smoke --seeds 0,3, --task faces --device auto --force old new-bct@0.5"
    assert " ".join(json.loads(said)) == expected
    assert parameters == {"scale": "smoke", "seeds": [0, 3], "lam": 0.5}, "it is not trained a second time"


def test_alone_nothing_but_the_notebook_is_started(started):
    assert main.main(["toy", "--scale", "smoke", "--processes", "1"]) == 0
    assert [len(run) for run in started] == [3]


def test_no_notebook_runs_after_a_training_that_failed(started, monkeypatch, capsys):
    monkeypatch.setattr(processes, "run_watched", lambda *words, **environment: 1)
    assert main.main(["toy", "--scale", "smoke", "--processes", "2"]) == 1
    assert not started and "no notebook was run" in capsys.readouterr().err


@pytest.mark.filterwarnings("ignore:Unable to enable fault handler")  # pytest holds stderr
@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("--scale smoke", "the following arguments are required: MODEL"),
        ("--scale smoke newest", "unknown model 'newest'"),
        ("--scale smokey old", "unknown scale 'smokey'"),
        ("--scale smoke --seeds x old", "seeds: expected a count like 5"),
        ("--scale smoke --device gpu old", "unknown device 'gpu'"),
        ("old --scale smoke --embed tests", "unknown part 'tests'"),
    ],
)
def test_words_that_train_models_does_not_understand(capsys, store_folder, words, said):
    assert train_models.main(words.split()) == 2
    error = capsys.readouterr().err
    assert said in error and len(error.splitlines()) == 1 and not store_folder.exists()


def test_how_a_process_died_is_said_in_a_sentence():
    class Failure:
        exitcode, message = -11, "Signal 11"

        def signal_name(self):
            return "SIGSEGV"

    assert processes._sentence(0, 2, Failure()) == "process 0 of 2 (the first is 0) was killed by SIGSEGV"


@pytest.mark.long
def test_the_smoke_models_of_two_processes_are_found_by_the_notebook(tmp_path):
    """And a second call trains nothing."""
    moved = {name: str(tmp_path / name) for name in ("BCT_STORE", "BCT_RESULTS", "BCT_FIGURES")}
    command = [sys.executable, "-P", "-m", "companion.launcher.main", *"table1 --scale smoke --processes 2".split()]
    for first in (True, False):
        done = subprocess.run(command, env=os.environ | moved, cwd=PROJECT, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        assert ("new-bct seed 0  epoch 5/5" in done.stdout) == first
        assert "2 processes" in done.stdout
