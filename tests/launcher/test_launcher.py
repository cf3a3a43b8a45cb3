"""The command line: what it refuses before anything runs, and what it does with a (toy) notebook."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import nbformat
import pytest
import toy_launcher
from toy_launcher import write_toy_notebook

from bctlib.base.errors import UsageError
from bctlib.base.locations import PROJECT
from companion.launcher import main
from companion.launcher.command_line import parse, seeds_of
from companion.launcher.targets import TARGETS, find_target

BCT_FOLDERS = ("BCT_DATA", "BCT_STORE", "BCT_RESULTS", "BCT_FIGURES")


@pytest.fixture
def toy(tmp_path, monkeypatch) -> Path:
    """A folder with a toy notebook, at which the launcher of this process points."""
    write_toy_notebook(tmp_path, "print(scale, seeds, lam)")
    toy_launcher.install(tmp_path, monkeypatch.setattr)
    for name, module in toy_launcher.fake_modules().items():
        monkeypatch.setitem(sys.modules, name, module)
    for name in BCT_FOLDERS:
        monkeypatch.setenv(name, str(tmp_path / name))
    monkeypatch.setattr(main, "runs_dir", lambda: tmp_path / "runs")
    return tmp_path


def start_toy(folder: Path, *words: str) -> subprocess.Popen:
    """The toy launcher as a process of its own."""
    driver = Path(toy_launcher.__file__)
    folders = {name: str(folder / name) for name in BCT_FOLDERS}
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "stdin": subprocess.DEVNULL, "text": True}
    return subprocess.Popen([sys.executable, str(driver), str(folder), *words], env=os.environ | folders, **pipes)


def run_toy(folder: Path, *words: str) -> tuple[int, str, str]:
    process = start_toy(folder, *words)
    out, err = process.communicate(timeout=120)
    return process.returncode, out, err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("toi", "unknown target 'toi'; did you mean 'toy'"),
        ("lst", "did you mean 'list'"),
        ("toy --scale smokey", "unknown scale 'smokey': expected one of smoke, desk, gpu, paper; did you mean 'smoke'"),
        ("toy --scael smoke", "unknown option '--scael'; did you mean '--scale'"),
        ("toy -p lamb 1", "unknown parameter of toy.ipynb 'lamb'; did you mean 'lam'"),
        ("toy -p lam high", "parameter lam: expected a number like 1.0, not 'high'"),
        ("toy -p lam -0.5", "parameter 'lam' is -0.5, expected a number of 0 or more"),
        ("toy -p lam inf", "parameter 'lam' is inf, expected a number of 0 or more"),
        ("toy -p epochs 1.5", "parameter epochs: expected a whole number"),
        ("toy -p force perhaps", "parameter force: expected true or false"),
        ("toy -p lam 1 -p lam 2", "parameter lam was given twice"),
        ("toy --scale smoke -p scale desk", "parameter scale was given twice"),
        ("toy -p scale nonsense", "unknown scale 'nonsense'"),
        ("toy --seeds many", "seeds: expected a count like 5"),
        ("toy --device gpu7", "unknown device 'gpu7'"),
        ("toy -p lam", "expected 2 arguments"),
        ("toy toy3", "unknown target 'toy3'"),
        ("toy --yes", "a target does not take --yes"),
        ("plan", "plan needs a target"),
        ("plan toy --device cpu", "plan does not take --device"),
        ("list toy", "list takes no further words"),
        ("figures --scale desk", "figures does not take --scale"),
    ],
)
def test_what_is_not_understood_exits_2_before_anything_runs(toy, capsys, monkeypatch, words, said):
    monkeypatch.setattr(main, "run_notebook", lambda *a: pytest.fail("something was run"))
    assert main.main(words.split()) == 2
    captured = capsys.readouterr()
    assert said in captured.err and len(captured.err.splitlines()) == 1
    assert captured.out == "" and not (toy / "runs").exists()


def test_values_take_the_types_of_the_defaults(toy):
    words = "toy --scale smoke --seeds 3 --device cpu --force -p lam 10 -p epochs 4 toy2"
    jobs = parse(words.split()).jobs
    assert [job.target.name for job in jobs] == ["toy", "toy2"]
    for job in jobs:
        expected = {"scale": "smoke", "seeds": [0, 1, 2], "device": "cpu", "force": True, "lam": 10.0, "epochs": 4}
        assert job.parameters == expected
        assert isinstance(job.parameters["lam"], float)
    assert parse(["toy", "-p", "epochs", "-5"]).jobs[0].parameters == {"epochs": -5}


def test_defaults_come_from_the_notebook(toy):
    (job,) = parse(["toy"]).jobs
    assert (job.parameters, job.scale, job.seeds) == ({}, "desk", [0])


@pytest.mark.parametrize(
    ("text", "seeds"),
    [("1", [0]), ("5", [0, 1, 2, 3, 4]), ("0,3,4", [0, 3, 4]), ("[0, 3]", [0, 3]), ("5,", [5]), ("[5]", [5])],
)
def test_seeds_are_a_count_or_a_list(text, seeds):
    assert seeds_of(text) == seeds


@pytest.mark.parametrize("text", ["0", "", ",", "a", "1,1", "-1", "[]", "1,,2", "1.5"])
def test_other_seeds_are_refused(text):
    with pytest.raises(UsageError, match="seeds: expected"):
        seeds_of(text)


def test_help_names_every_target_and_command(capsys):
    assert main.main(["--help"]) == 0
    text = capsys.readouterr().out
    words = [
        "list",
        "plan",
        "figures",
        "test",
        "lab",
        "clean",
        "--scale",
        "--seeds",
        "--device",
        "--force",
        "-p NAME VALUE",
    ]
    assert all(word in text for word in [*words, *BCT_FOLDERS, *(target.name for target in TARGETS)])


def test_targets_are_unique_and_found_by_name():
    names = [target.name for target in TARGETS]
    assert len(set(names)) == len(names)
    assert {"table1", "table2", "table8"} <= set(names)
    assert find_target("table2").notebook == find_target("table1").notebook


def test_list_and_plan_tell_cost_and_store_and_train_nothing(toy, capsys):
    assert main.main(["list"]) == 0
    listed = capsys.readouterr().out
    assert "toy" in listed and "Table 00" in listed and "notebooks/toy.ipynb" in listed
    assert "smoke  about 1:00 for 2 models; 2 already in the store" in listed

    assert main.main(["plan", "toy", "--scale", "smoke", "--seeds", "0,4"]) == 0
    plan = capsys.readouterr().out
    assert "old      seed 0  in the store" in plan and "new-bct  seed 4  to train, about 0:30" in plan
    assert "2 of 4 models to train, about 1:00" in plan
    assert main.main(["plan", "toy", "-p", "lam", "0.5", "--force"]) == 0
    assert "new-bct@0.5  seed 0  to train again, about 0:30" in capsys.readouterr().out
    assert not (toy / "runs").exists()


def test_targets_of_one_notebook_do_not_contradict_each_other():
    """They run it once, with all that any of them sets."""
    for notebook in {target.notebook for target in TARGETS}:
        asked = [pair for target in TARGETS if target.notebook == notebook for pair in target.parameters.items()]
        assert len(dict(asked)) == len(set(asked))


def test_two_targets_of_one_notebook_run_it_once(toy, capsys, monkeypatch):
    runs = []
    monkeypatch.setattr(main, "run_notebook", lambda *a: runs.append(a) or 0)
    assert main.main(["toy", "toy2", "--scale", "smoke"]) == 0
    assert runs == [(toy / "notebooks" / "toy.ipynb", toy / "runs" / "toy-smoke.ipynb", {"scale": "smoke"})]
    out = capsys.readouterr().out
    assert "the table of toy at smoke" in out and "the table of toy2 at smoke" in out


def test_all_is_every_target_with_one_plan(toy, capsys, monkeypatch):
    monkeypatch.setattr(main, "run_notebook", lambda *a: 0)
    assert main.main(["all", "toy", "--scale", "smoke", "--seeds", "0,1"]) == 0
    out = capsys.readouterr().out
    assert out.count("the table of toy at smoke") == out.count("the table of toy2 at smoke") == 1
    assert out.count("2 of 4 models to train") == 1  # both targets need the same models
    assert main.main(["plan", "all", "--seeds", "5,"]) == 0
    assert capsys.readouterr().out.count("2 of 2 models to train, about 1:00") == 2


def test_a_run_shows_progress_and_table_and_keeps_the_notebook(tmp_path):
    watched = (
        "from bctlib.base import progress\n"
        "with progress.task('old seed 0', 2) as task:\n"
        "    task.step(1, loss=0.5)\n"
        "    task.step(2, loss=0.25)"
    )
    source = write_toy_notebook(tmp_path, watched, "print('lam is', lam, 'at', scale)")
    before = source.read_bytes()
    status, out, err = run_toy(tmp_path, "toy", "--scale", "smoke", "-p", "lam", "0.25")

    assert (status, err) == (0, "")
    assert "old seed 0  epoch 2/2  loss 0.25" in out
    assert out.index("epoch 2/2") < out.index("the table of toy at smoke") < out.index("done in")
    executed = (tmp_path / "runs" / "toy-smoke.ipynb").read_text()
    assert "lam is 0.25 at smoke" in executed and "epoch 2/2" not in executed
    assert source.read_bytes() == before, "never in place"


def test_a_failed_cell_exits_1_and_says_where_the_notebook_is(tmp_path):
    write_toy_notebook(tmp_path, "from bctlib.base.errors import BctError\nraise BctError('sprite 7 is damaged')")
    status, out, err = run_toy(tmp_path, "toy", "--scale", "smoke")
    assert status == 1 and "the table" not in out
    failed = tmp_path / "runs" / "toy-smoke.ipynb"
    assert "BctError: sprite 7 is damaged" in err and str(failed) in err and "Traceback" not in err
    errors = [o for cell in nbformat.read(failed, 4).cells for o in cell.get("outputs", []) if o.output_type == "error"]
    assert len(errors) == 1


def test_a_dead_kernel_exits_138_with_a_sentence(tmp_path):
    write_toy_notebook(tmp_path, "import os, signal\nos.kill(os.getpid(), signal.SIGKILL)")
    status, _, err = run_toy(tmp_path, "toy", "--scale", "smoke")
    assert status == 138
    assert "kernel died" in err and "Traceback" not in err


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="looks for processes in /proc")
@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
def test_a_stopped_run_leaves_no_kernel_behind(tmp_path, signum):
    pid_file = tmp_path / "kernel.pid"
    busy = f"import os, pathlib\npathlib.Path({str(pid_file)!r}).write_text(str(os.getpid()))\nwhile True: pass"
    write_toy_notebook(tmp_path, busy)
    launcher = start_toy(tmp_path, "toy", "--scale", "smoke")
    try:
        deadline = time.monotonic() + 60
        while not (pid_file.exists() and pid_file.read_text()):
            assert launcher.poll() is None and time.monotonic() < deadline, "the kernel never started"
            time.sleep(0.05)
        kernel = int(pid_file.read_text())
        launcher.send_signal(signum)
        _, err = launcher.communicate(timeout=60)
    finally:
        launcher.kill()
    assert launcher.returncode == 128 + signum
    assert f"stopped by {signum.name}" in err and "Traceback" not in err
    assert not is_alive(kernel)


def test_clean_removes_store_and_runs_only_when_told(toy, capsys):
    for name in (*BCT_FOLDERS, "runs"):
        (toy / name).mkdir()
        (toy / name / "file").write_bytes(b"x" * 1000)
    assert main.main(["clean"]) == 2
    assert "--yes" in capsys.readouterr().err and (toy / "runs" / "file").exists()
    assert main.main(["clean", "--yes"]) == 0
    assert f"{toy / 'BCT_STORE'}: 1 files" in capsys.readouterr().out
    assert sorted(path.name for path in toy.iterdir()) == ["BCT_DATA", "BCT_FIGURES", "BCT_RESULTS", "notebooks"]


@pytest.mark.parametrize("folder", [PROJECT, PROJECT.parent, Path.home()])
def test_clean_refuses_a_store_that_holds_more_than_models(toy, capsys, monkeypatch, folder):
    monkeypatch.setattr(main.shutil, "rmtree", lambda path: pytest.fail(f"removed {path}"))
    monkeypatch.setenv("BCT_STORE", str(folder))
    assert main.main(["clean", "--yes"]) == 1
    assert "nothing was removed" in capsys.readouterr().err


def test_bench_starts_the_benchmark_and_gives_its_exit_status(capfd):
    assert main.main(["bench", "evaluation", "--help"]) == 0
    assert "--small" in capfd.readouterr().out
    assert main.main(["bench", "evalution"]) == 2
    assert "did you mean 'evaluation'" in capfd.readouterr().err


def test_relative_folders_are_meant_from_where_the_user_is(toy, monkeypatch):
    monkeypatch.chdir(toy)
    monkeypatch.setenv("BCT_STORE", "mine")
    assert main.main(["--help"]) == 0
    assert os.environ["BCT_STORE"] == str(toy / "mine")
