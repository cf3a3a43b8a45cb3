"""`--workers N`: which model trains when, by hand; what is started; a failure or a signal leaves nothing running."""

import hashlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
import toy_launcher
from filelock import FileLock
from toy_launcher import ToyModel, write_toy_notebook

from bctlib.base.errors import UsageError
from bctlib.base.locations import PROJECT
from bctlib.base.progress import PROGRESS_FILE
from bctlib.training import devices, store
from bctlib.training.artefact import Artefact
from companion.launcher import main, side_by_side
from companion.launcher.side_by_side import Training, duration_s, ready, trainings, workers_for
from companion.measure.run import plan
from companion.workbench import Workbench


def models(**seconds: float) -> list[ToyModel]:
    return [ToyModel(name.replace("_", "-"), 0, False, each) for name, each in seconds.items()]


def test_a_model_waits_for_its_old_one_only_where_that_is_trained_too():
    work = {each.name: each for each in trainings(models(phi1=10, phi2=20, phi3=40, old=15, new_bct=30))}
    assert {name: each.old for name, each in work.items()} == {
        "phi1": None, "phi2": "phi1", "phi3": "phi2", "old": None, "new-bct": "old",
    }  # fmt: skip
    assert {name: each.chain_s for name, each in work.items()} == {
        "phi1": 70, "phi2": 60, "phi3": 40, "old": 45, "new-bct": 30,
    }  # fmt: skip
    (alone,) = trainings(models(new_bct=30))
    assert alone.old is None, "its old model is in the store"
    other_seed = [*trainings([ToyModel("old", 0, False, 1.0), ToyModel("new-bct", 1, False, 1.0)])]
    assert [each.old for each in other_seed] == [None, None]


def test_names_with_one_recipe_are_one_training():
    """By the list of models: the old model of the series with 21 % is the new* of the one with 10.5 %."""
    planned = plan(["new*-of-10.5%", "old-of-21%", "new-bct-of-21%"], "smoke", [0, 1], device="cpu", measure=False)
    assert len(planned) == 6 and len({model.key for model in planned}) == 4
    work = trainings(planned)
    assert [(each.name, each.seed, each.old) for each in work] == [
        (name, seed, old)
        for seed in (0, 1)
        for name, old in (("new*-of-10.5%", None), ("new-bct-of-21%", "new*-of-10.5%"))
    ]
    assert work[0].chain_s == work[0].estimated_s + work[1].estimated_s


def test_the_longest_chain_begins_first():
    work = trainings(models(phi1=10, phi2=20, phi3=40, old=15, new_bct=30))
    assert [each.name for each in ready(work, [])] == ["phi1", "old"]
    assert [each.name for each in ready(work[1:], work[:1])] == ["old"], "phi2 waits while phi1 is trained"
    assert [each.name for each in ready(work[1:], [])] == ["phi2", "old"]


def test_the_estimate_is_that_of_the_schedule_by_hand(monkeypatch):
    monkeypatch.setattr(side_by_side, "START_S", 1.0)
    work = trainings(models(phi1=10, phi2=20, phi3=40, old=15, new_bct=30))
    assert duration_s(work, 1) == 115
    # phi1 0-11, old 0-16; phi2 11-32, new-bct 16-47; phi3 32-73
    assert duration_s(work, 2) == 73
    assert duration_s([], 2) == 0


@pytest.mark.parametrize(
    ("scale", "asked", "seconds", "expected"),
    [
        ("desk", None, 300.0, 4),
        ("desk", 3, 300.0, 3),
        ("desk", 9, 300.0, 5),
        ("desk", 1, 300.0, 1),
        ("desk", None, 3.0, 1),
        ("smoke", 2, 3.0, 2),
        ("gpu", None, 300.0, 1),
    ],
)
def test_as_many_as_cores_where_that_saves_time(monkeypatch, scale, asked, seconds, expected):
    monkeypatch.setattr(side_by_side, "_cores", lambda: 4)
    monkeypatch.setattr(side_by_side, "_memory", lambda: 64 << 30)
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    work = trainings([ToyModel("old", seed, False, seconds) for seed in range(5)])
    assert workers_for(work, scale, "cpu", asked) == expected
    monkeypatch.setattr(side_by_side, "_memory", lambda: 7 << 30)
    if asked is None and expected > 1:
        assert workers_for(work, scale, "cpu", asked) == 2, "more would not fit into memory"
        monkeypatch.setenv("OMP_NUM_THREADS", "4")
        assert workers_for(work, scale, "cpu", asked) == 1, "one training has all cores"


def test_a_gpu_trains_one_model_at_a_time(monkeypatch):
    monkeypatch.setattr(devices, "choose_device", lambda text: SimpleNamespace(type="cuda"))
    work = trainings([ToyModel("old", seed, False, 300.0) for seed in range(5)])
    assert workers_for(work, "desk", "cuda", None) == 1
    with pytest.raises(UsageError, match="workers: on cuda one model trains at a time; expected 1, not 2"):
        workers_for(work, "desk", "cuda", 2)


@pytest.fixture
def begun(monkeypatch, tmp_path):
    """Each training is a process that runs `program[name]`; (process, training) of all that began."""
    started, program = [], {}

    def begin(training: Training, words, log: Path) -> subprocess.Popen:
        source = program.get(training.name, "import time; time.sleep(0.3)")
        with log.open("wb") as file:
            process = subprocess.Popen([sys.executable, "-c", source], stdout=file, stderr=file)
        started.append((process, training.name, time.monotonic()))
        return process

    monkeypatch.setattr(side_by_side, "_begin", begin)
    return SimpleNamespace(started=started, program=program, fault=tmp_path / "fault.txt")


def test_all_are_trained_so_many_at_once_and_old_ones_first(begun):
    work = trainings(models(old=3, new_bct=2, new_lwf=1))
    assert side_by_side.start(work, 2, [], begun.fault) == 0
    (old, _, first), (_, name, second), (_, other, third) = begun.started
    assert (name, other) == ("new-bct", "new-lwf") and second - first >= 0.3 and third - second < 0.3
    assert old.returncode == 0 and not begun.fault.exists()


@pytest.mark.parametrize(
    ("program", "status", "said"),
    [
        ("import sys; sys.exit('train_models: the disk is full')", 1, "old seed 0: the disk is full"),
        ("import sys; print('old seed 0: no memory', file=sys.stderr); sys.exit(2)", 2, "old seed 0: no memory"),
        ("import os; os.kill(os.getpid(), 9)", 1, "old seed 0: its training was killed by SIGKILL; most often"),
        ("import sys; sys.exit(3)", 3, "old seed 0: ended with status 3 and said nothing"),
    ],
)
def test_a_failure_ends_the_others_and_says_which_model_failed(begun, program, status, said):
    begun.program |= {"old": program, "new*": "import time; time.sleep(60)"}
    assert (
        side_by_side.start(trainings(models(old=1) + [ToyModel("new*", 0, False, 9.0)]), 2, [], begun.fault) == status
    )
    assert begun.fault.read_text().startswith(said)
    assert len(begun.started) == 2 and all(process.returncode is not None for process, *_ in begun.started)


def test_a_stop_ends_all(begun):
    begun.program |= dict.fromkeys(("old", "new*"), "import time; time.sleep(60)")
    stop, work = threading.Event(), trainings([*models(old=1), ToyModel("new*", 0, False, 9.0)])
    threading.Timer(0.3, stop.set).start()
    assert side_by_side.start(work, 2, [], begun.fault, stop) == side_by_side.STOPPED
    assert len(begun.started) == 2 and all(process.returncode is not None for process, *_ in begun.started)


def digest(model: Artefact) -> str:
    """Of every tensor that training decides, bit by bit."""
    named = [*model.backbone.state_dict().items(), *model.head.state_dict().items()]
    joined = b"".join(f"{name}{tensor.dtype}".encode() + tensor.numpy().tobytes() for name, tensor in named)
    return hashlib.sha256(joined).hexdigest()


@pytest.fixture
def toy(tmp_path, monkeypatch) -> list:
    """What the launcher would have started for the toy target."""
    write_toy_notebook(tmp_path, "print(scale)")
    toy_launcher.install(tmp_path, monkeypatch.setattr)
    for name, module in toy_launcher.fake_modules().items():
        monkeypatch.setitem(sys.modules, name, module)
    runs: list = []
    monkeypatch.setattr(side_by_side, "run_watched", lambda *words: runs.append(words) or 0)
    monkeypatch.setattr(main, "run_notebook", lambda *words: runs.append(words) or 0)
    return runs


def test_models_are_trained_side_by_side_before_the_notebook_runs(toy, capsys):
    assert main.main("toy --scale smoke --seeds 3,4 --workers 2 --force --device cpu".split()) == 0
    assert "4 of 4 models to train, about 1:10, 2 side by side" in capsys.readouterr().out
    (module, (content,)), (_, _, parameters) = toy
    content = json.loads(content)
    assert module == "companion.launcher.side_by_side" and content["workers"] == 2
    assert " ".join(content["words"]) == "--scale smoke --task faces --device cpu --force --only-named"
    assert [(each["name"], each["seed"], each["old"]) for each in content["trainings"]] == [
        ("old", 3, None), ("new-bct", 3, "old"), ("old", 4, None), ("new-bct", 4, "old"),
    ]  # fmt: skip
    assert parameters == {"scale": "smoke", "seeds": [3, 4], "device": "cpu"}, "it is not trained a second time"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("toy --workers none", "workers: expected a whole number of 1 or more, not 'none'"),
        ("toy --workers 2 --processes 2", "--workers and --processes: expected one of the two"),
        ("list --workers 2", "list does not take --workers"),
    ],
)
def test_a_bad_number_is_refused_before_anything_runs(toy, capsys, words, said):
    assert main.main(words.split()) == 2
    assert said in capsys.readouterr().err and not toy


def test_no_notebook_runs_after_a_training_that_failed(toy, monkeypatch, capsys):
    monkeypatch.setattr(side_by_side, "run_watched", lambda *words: 1)
    assert main.main("toy --scale smoke --seeds 3 --workers 2 --seeds 3,4".split()) == 1
    assert not toy and "no notebook was run" in capsys.readouterr().err


def test_force_trains_the_named_model_alone_where_the_others_are_kept(monkeypatch):
    forgotten, bench = [], Workbench("smoke", device="cpu", force=True)
    monkeypatch.setattr(store, "forget", lambda recipe: forgotten.append(recipe.key))
    monkeypatch.setattr(store, "fetch", lambda recipe, *_: recipe)
    bench.keep({"old"})
    bench.model("new-bct")
    assert forgotten == [bench.recipe("new-bct").key]
    bench.model("old-of-21%"), bench.model("new*-of-10.5%")
    assert forgotten[1:] == [bench.recipe("old-of-21%").key], "the other name's training is not thrown away"


def test_ctrl_c_ends_every_training_and_the_next_run_ends_in_the_bits_of_one_alone(tmp_path, monkeypatch):
    """The real command at smoke scale, stopped in the middle; afterwards it goes on, and a compatible model follows."""
    folders = {name: str(tmp_path / name) for name in ("BCT_STORE", "BCT_RESULTS", "BCT_FIGURES")}
    content = {"workers": 2, "words": ["--scale", "smoke", "--device", "cpu", "--embed"], "trainings": [
        {"name": name, "seed": 0, "estimated_s": 1.0, "old": old, "chain_s": 1.0}
        for name, old in (("old", None), ("new*", None), ("new-bct", "old"))
    ]}  # fmt: skip
    events = tmp_path / "events.jsonl"
    events.touch()
    environment = os.environ | folders | {"PYTHONPATH": str(PROJECT), PROGRESS_FILE: str(events)}
    words = ["-P", "-m", "companion.launcher.side_by_side", json.dumps(content), str(tmp_path / "fault.txt")]
    process = subprocess.Popen([sys.executable, *words], env=environment)
    until = time.monotonic() + 240
    while '"kind": "step"' not in events.read_text() and time.monotonic() < until:
        time.sleep(0.05)
    process.send_signal(signal.SIGTERM)
    assert process.wait(60) == side_by_side.STOPPED
    locks = [path for path in (tmp_path / "BCT_STORE" / "locks").iterdir() if path.suffix == ".lock"]
    for path in locks:
        FileLock(path).acquire(timeout=5).lock.release()  # the system released them: nobody trains any more
    assert subprocess.run([sys.executable, *words], env=environment).returncode == 0
    assert len(list((tmp_path / "BCT_STORE" / "models").glob("*/model.safetensors"))) == 3
    monkeypatch.setenv("BCT_STORE", folders["BCT_STORE"])
    side_by_side_models = Workbench("smoke", device="cpu")
    trained = {name: side_by_side_models.model(name) for name in ("old", "new-bct")}
    monkeypatch.setenv("BCT_STORE", str(tmp_path / "alone"))
    alone = Workbench("smoke", device="cpu")
    for name, model in trained.items():
        assert digest(model) == digest(alone.model(name))
