"""What each kind of watcher sees, and that an executed notebook keeps nothing of it."""

import io
import json
import struct
import threading

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
        task.step(1, loss=2)
        task.step(2, loss=1)
    stop.set()
    follower.join(timeout=10)
    assert [line[:35] for line in seen.getvalue().splitlines()] == [
        "new-l2 seed 3  epoch 1/2  loss 2  0",
        "new-l2 seed 3  epoch 2/2  loss 1  0",
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
