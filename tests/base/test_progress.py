"""What each kind of watcher sees, and that an executed notebook keeps nothing of it."""

import io
import json
import struct
import sys
import threading
from types import SimpleNamespace

import nbformat
import papermill
import pytest

from bctlib.base import progress
from bctlib.base.progress import Event, Lines, TerminalBar


@pytest.fixture(autouse=True)
def no_progress_file(monkeypatch):
    monkeypatch.delenv(progress.PROGRESS_FILE, raising=False)
    monkeypatch.setattr(progress, "_displays", {})


def test_headless_run_gets_one_whole_line_per_epoch(capsys):
    with progress.task("new-bct seed 0", 3) as task:
        for epoch in range(3):
            task.step(epoch + 1, loss=1.93456, images_per_s=2550.4)
    progress.say("all done")

    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 4
    assert lines[1].startswith("new-bct seed 0  epoch 2/3  loss 1.935  2550 images/s  0:00 elapsed  0:00 left")
    assert lines[3] == "all done"


def test_remaining_time_is_the_mean_step_times_the_steps_left():
    event = Event("step", "old seed 1", done=2, total=10, elapsed_s=30.0)
    assert event.remaining_s == 120.0
    assert event.line() == "old seed 1  epoch 2/10  0:30 elapsed  2:00 left"
    assert progress.clock(3723.4) == "1:02:03"


def test_frequent_steps_are_thinned_but_the_last_is_shown(capsys):
    with progress.task("extracting", 500, unit="batch", every_s=60) as task:
        for batch in range(500):
            task.step(batch + 1)
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 2
    assert "batch 500/500" in lines[-1]


@pytest.fixture
def clock(monkeypatch) -> SimpleNamespace:
    """Time as `progress` sees it; `clock.now` sets it, in seconds."""
    time = SimpleNamespace(now=1000.0)
    monkeypatch.setattr(progress, "time", SimpleNamespace(monotonic=lambda: time.now))
    return time


def steps_of_one_second(clock: SimpleNamespace, fields=dict) -> None:
    """Two epochs of 100 steps."""
    with progress.task("old seed 0", 2) as task:
        for epoch in range(2):
            for step in range(100):
                clock.now += 1.0
                task.part(epoch + (step + 1) / 100, fields)
            task.step(epoch + 1)


def test_a_step_under_way_is_shown_every_two_seconds_and_its_figures_made_only_then(tmp_path, monkeypatch, clock):
    monkeypatch.setenv(progress.PROGRESS_FILE, str(tmp_path / "events"))
    made = []
    steps_of_one_second(clock, lambda: made.append(clock.now) or {"loss": 1.5})
    events = [json.loads(line) for line in (tmp_path / "events").read_text().splitlines()]
    parts = [event for event in events if event["kind"] == "part"]
    assert [event["elapsed_s"] for event in parts] == [*range(2, 100, 2), *range(102, 200, 2)]
    assert len(made) == len(parts) and parts[0]["fields"] == {"loss": 1.5}
    for event in parts:
        assert event["done"] == pytest.approx(event["elapsed_s"] / 100)
        assert Event(**event).remaining_s == pytest.approx(200 - event["elapsed_s"])


def test_the_estimate_corrects_itself_within_the_first_epoch(tmp_path, monkeypatch, clock):
    monkeypatch.setenv(progress.PROGRESS_FILE, str(tmp_path / "events"))
    with progress.task("old seed 0", 4) as task:
        for done, now in ((0.1, 1010.0), (0.2, 1040.0)):  # slower, because another program has begun
            clock.now = now
            task.part(done, dict)
    left = [Event(**json.loads(line)).remaining_s for line in (tmp_path / "events").read_text().splitlines()]
    assert left[1:3] == pytest.approx([10 * 3.9 / 0.1, 40 * 3.8 / 0.2]) and left[0] is None


def test_a_log_stays_short_and_a_long_first_epoch_is_not_silent(capsys, clock):
    steps_of_one_second(clock)
    lines = capsys.readouterr().err.splitlines()
    assert lines == [
        "old seed 0  epoch 0.06/2  0:06 elapsed  3:14 left",
        "old seed 0  epoch 0.12/2  0:12 elapsed  3:08 left",
        "old seed 0  epoch 0.24/2  0:24 elapsed  2:56 left",
        "old seed 0  epoch 0.48/2  0:48 elapsed  2:32 left",
        "old seed 0  epoch 0.96/2  1:36 elapsed  1:44 left",
        "old seed 0  epoch 1/2  1:40 elapsed  1:40 left",
        "old seed 0  epoch 2/2  3:20 elapsed  0:00 left",
    ]


def test_a_bar_shows_parts_and_its_times_come_before_what_a_narrow_terminal_cuts():
    stream = io.StringIO()
    bar = TerminalBar(stream)
    bar.show(Event("begin", "old seed 0", total=8))
    fields = {"loss": 0.5, "machine": "busy"}
    bar.show(Event("part", "old seed 0", done=1.0 / 3, total=8, elapsed_s=10, fields=fields))
    shown = stream.getvalue().rsplit("\r", 1)[-1]
    assert shown.lstrip().startswith("4%|")
    assert "old seed 0  epoch 0.33/8  0:10 elapsed  3:50 left  loss 0.5  machine busy" in shown
    assert bar.bars["old seed 0"].n == 1.0 / 3
    bar.show(Event("end", "old seed 0", done=1.0 / 3, total=8))
    assert bar.bars == {}


def test_a_notebook_shows_parts(monkeypatch):
    shown = []
    shell = SimpleNamespace(execution_count=3)
    display = SimpleNamespace(display=lambda content, **_: shown.append(content) or SimpleNamespace(
        update=lambda content, **_: shown.append(content)))  # fmt: skip
    monkeypatch.setitem(sys.modules, "IPython", SimpleNamespace(get_ipython=lambda: shell))
    monkeypatch.setitem(sys.modules, "IPython.display", display)
    notebook = progress.NotebookDisplay()
    notebook.show(Event("begin", "old seed 0", total=8))
    notebook.show(Event("part", "old seed 0", done=0.25, total=8, elapsed_s=10))
    assert shown[-1]["text/plain"] == "old seed 0  epoch 0.25/8  0:10 elapsed  5:10 left"
    assert '<progress value="0.25" max="8">' in shown[-1]["text/html"]
    notebook.show(Event("end", "old seed 0", total=8))
    assert shown[-1] == {"text/plain": ""}


def test_terminal_gets_a_bar():
    stream = io.StringIO()
    bar = TerminalBar(stream)
    bar.show(Event("begin", "old seed 0", total=2))
    bar.show(Event("step", "old seed 0", done=2, total=2, fields={"loss": 0.5}))
    bar.show(Event("end", "old seed 0", done=2, total=2))
    assert "old seed 0" in stream.getvalue() and "2/2" in stream.getvalue() and "loss 0.5" in stream.getvalue()
    assert bar.bars == {}


def test_only_a_terminal_with_a_size_holds_bars():
    pty = pytest.importorskip("pty")
    fcntl, termios = pytest.importorskip("fcntl"), pytest.importorskip("termios")
    master, slave = pty.openpty()
    with open(master, "wb"), open(slave, "w") as terminal:
        for lines, expected in ((40, True), (0, False)):
            fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", lines, 100, 0, 0))
            assert progress.holds_bars(terminal) is expected
    assert not progress.holds_bars(io.StringIO())


def test_a_failing_task_still_ends(tmp_path, monkeypatch):
    monkeypatch.setenv(progress.PROGRESS_FILE, str(tmp_path / "events"))
    with pytest.raises(ZeroDivisionError), progress.task("old seed 0", 5):
        _ = 1 / 0
    kinds = [json.loads(line)["kind"] for line in (tmp_path / "events").read_text().splitlines()]
    assert kinds == ["begin", "end"]


def test_another_process_can_follow_the_progress_file(tmp_path, monkeypatch, capsys):
    path = tmp_path / "events"
    path.touch()
    monkeypatch.setenv(progress.PROGRESS_FILE, str(path))
    seen, stop = io.StringIO(), threading.Event()
    follower = threading.Thread(target=progress.follow, args=(path, Lines(seen), stop, 0.01))
    follower.start()
    with progress.task("new-l2 seed 3", 2) as task:
        monkeypatch.setattr(progress, "PART_S", 0.0)
        monkeypatch.setattr(Lines, "FIRST_S", 0.0)
        task.part(0.5, lambda: {"loss": 3})
        task.step(1, loss=2)
        task.step(2, loss=1)
    stop.set()
    follower.join(timeout=10)
    assert [line[:37] for line in seen.getvalue().splitlines()] == [
        "new-l2 seed 3  epoch 0.5/2  loss 3  0",
        "new-l2 seed 3  epoch 1/2  loss 2  0:0",
        "new-l2 seed 3  epoch 2/2  loss 1  0:0",
    ]
    assert capsys.readouterr().err == "", "only the follower shows it"


def test_an_executed_notebook_keeps_no_progress(tmp_path):
    notebook = nbformat.v4.new_notebook(metadata={"kernelspec": {"name": "python3", "display_name": "Python 3"}})
    two_tasks = (
        "from bctlib.base import progress\n"
        "for seed in range(2):\n"
        "    progress.say('NEWS outside a task')\n"
        "    with progress.task(f'WATCHED seed {seed}', 3) as task:\n"
        "        progress.say('NEWS inside a task')\n"
        "        for epoch in range(3):\n"
        "            task.step(epoch + 1, loss=0.125)\n"
        "print('result')"
    )
    notebook.cells = [nbformat.v4.new_code_cell(two_tasks)]
    nbformat.write(notebook, tmp_path / "in.ipynb")
    papermill.execute_notebook(
        tmp_path / "in.ipynb", tmp_path / "out.ipynb", progress_bar=False, coalesce_streams=True, cwd=tmp_path
    )

    executed = nbformat.read(tmp_path / "out.ipynb", as_version=4)
    outputs = json.dumps(executed.cells[0].outputs)
    assert "WATCHED" not in outputs and "NEWS" not in outputs and "<progress" not in outputs
    assert len(executed.cells[0].outputs) <= 2, "one emptied display and the cell's own print"
    assert "result" in outputs
    assert "widgets" not in executed.metadata
