"""Progress of long work, displayed in a form that suits the output.

    with progress.task("new-bct seed 0", total=12) as task:
        for epoch in range(12):
            ...
            task.step(epoch + 1, loss=1.93, images_per_s=2550)
    progress.say("new-bct seed 0: taken from the store")

* terminal: a plain tqdm bar;
* no terminal (log file, pipe): one whole line per step on stderr, and a few within a long first one;
* Jupyter kernel: a small bar that is cleared at the end, so that a saved notebook does not contain it;
* `BCT_PROGRESS` names a file: events are appended there, one JSON object per line, and nothing else is shown. The
  launcher follows that file while papermill runs a notebook.

A step that is not shown costs microseconds; work with many steps sets `every_s`.
"""

import html
import json
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Protocol, TextIO

from tqdm import tqdm

PROGRESS_FILE = "BCT_PROGRESS"
PART_S = 2.0
"""Seconds between two views of a step that is under way."""


@dataclass(frozen=True)
class Event:
    """One thing to show.

    kind: begin, part (of the step under way), step, end or say. done: steps, with the part of the one under way.
    elapsed_s: seconds since the task began.
    """

    kind: str
    label: str
    unit: str = "epoch"
    done: float = 0
    total: int = 0
    elapsed_s: float = 0.0
    fields: dict[str, float | str] = field(default_factory=dict)

    @property
    def remaining_s(self) -> float | None:
        return self.elapsed_s / self.done * (self.total - self.done) if self.done else None

    def details(self) -> str:
        """The step's own numbers: `loss 1.93  2550 images/s`."""
        return "  ".join(_field_text(name, value) for name, value in self.fields.items())

    def line(self) -> str:
        """The whole state in one line, for logs."""
        if self.kind == "say":
            return self.label
        return "  ".join(filter(None, [self.place(), self.details(), *self.times()]))

    def place(self) -> str:
        """How far it is: `new-bct seed 0  epoch 2/8`, or `epoch 0.14/8` within the first."""
        done = round(self.done, 2) if self.kind == "part" else self.done
        return f"{self.label}  {self.unit} {done}/{self.total}"

    def times(self) -> list[str]:
        """`0:30 elapsed`, and `2:00 left` where that can be said."""
        left = [] if self.remaining_s is None else [f"{clock(self.remaining_s)} left"]
        return [f"{clock(self.elapsed_s)} elapsed", *left]


def clock(seconds: float) -> str:
    """Seconds as 0:07, 12:05 or 1:02:03."""
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{seconds:02d}" if hours else f"{minutes}:{seconds:02d}"


def _field_text(name: str, value: float | str) -> str:
    if isinstance(value, float):
        value = f"{value:.4g}" if abs(value) < 1000 else f"{value:.0f}"
    quantity, per, unit = name.partition("_per_")
    return f"{value} {quantity}/{unit}" if per else f"{name} {value}"


class Display(Protocol):
    """Somewhere to show events."""

    def show(self, event: Event) -> None: ...


class Lines:
    """Whole lines, for pipes and log files.

    A part of a step gets one after FIRST_S seconds, and then whenever the seconds have doubled since the last line: a
    log stays short, and a first step of many minutes does not stay silent.
    """

    FIRST_S = 5.0

    def __init__(self, stream=None):
        self.stream = stream
        self._parts_from_s: dict[str, float] = {}

    def show(self, event: Event) -> None:
        if event.kind == "end":
            self._parts_from_s.pop(event.label, None)
        if event.kind == "part" and event.elapsed_s < self._parts_from_s.get(event.label, self.FIRST_S):
            return
        if event.kind in ("part", "step"):
            self._parts_from_s[event.label] = max(self.FIRST_S, 2 * event.elapsed_s)
        if event.kind in ("part", "step", "say"):
            print(event.line(), file=self.stream or sys.stderr, flush=True)


class TerminalBar:
    """A tqdm bar for each task, with what `Event.line` says beside it; said lines go above it."""

    FORMAT = "{percentage:3.0f}%|{bar}| {desc}"

    def __init__(self, stream=None):
        self.stream = stream
        self.bars: dict[str, tqdm] = {}

    def show(self, event: Event) -> None:
        stream = self.stream or sys.stderr
        if event.kind == "say":
            tqdm.write(event.label, file=stream)
        elif event.kind == "begin":
            self.bars[event.label] = tqdm(
                total=event.total, desc=event.label, file=stream, dynamic_ncols=True, bar_format=self.FORMAT
            )
        elif bar := self.bars.get(event.label):
            if event.kind == "end":
                bar.close()
                del self.bars[event.label]
                return
            bar.n = event.done
            words = [event.place(), *event.times(), event.details()]  # times first: a narrow terminal cuts the end
            bar.set_description_str("  ".join(filter(None, words)))


class NotebookDisplay:
    """One updatable output per cell; emptied when its last task ends, so a saved notebook holds no progress."""

    def __init__(self):
        self.handle = None
        self.cell: int | None = None
        self.running: dict[str, Event] = {}
        self.said: list[str] = []

    def show(self, event: Event) -> None:
        if event.kind == "end":
            self.running.pop(event.label, None)
        elif event.kind == "say":
            self.said = [*self.said, event.label][-3:]
            if not self.running:
                return  # with no task to end it, a said line would stay in the notebook
        else:
            self.running[event.label] = event
        self._draw()

    def _draw(self) -> None:
        from IPython import get_ipython
        from IPython.display import display

        shell = get_ipython()
        content = {"text/plain": ""}
        if self.running:
            content = {"text/plain": "\n".join(e.line() for e in self.running.values()), "text/html": self._html()}
        else:
            self.said = []
        if self.handle is None or self.cell != shell.execution_count:
            self.cell = shell.execution_count
            self.handle = display(content, raw=True, display_id=True)
        else:
            self.handle.update(content, raw=True)

    def _html(self) -> str:
        said = "".join(f"<div>{_escaped(line)}</div>" for line in self.said)
        bars = "".join(
            f'<div><progress value="{e.done}" max="{max(e.total, 1)}"></progress> {_escaped(e.line())}</div>'
            for e in self.running.values()
        )
        return said + bars


def _escaped(line: str) -> str:
    """A line for HTML, which would make one blank of the two that part its fields."""
    return html.escape(line).replace("  ", " · ")


class ProgressFile:
    """Events as JSON lines in a file that another process follows."""

    def __init__(self, path: Path):
        self.path = path

    def show(self, event: Event) -> None:
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(asdict(event)) + "\n")


class Task:
    """Work with a known number of steps."""

    def __init__(self, display: Display, label: str, total: int, unit: str, every_s: float, elapsed_s: float):
        self._display, self._label, self._total, self._unit, self._every_s = display, label, total, unit, every_s
        self._start = time.monotonic() - elapsed_s
        self._last_shown = -float("inf")
        self._part_shown = time.monotonic()
        self._done: float = 0

    def step(self, done: int, **fields: float | str) -> None:
        """Say that `done` of the total are finished, with any numbers worth showing (loss=, images_per_s=)."""
        self._done = done
        now = time.monotonic()
        if done >= self._total or now - self._last_shown >= self._every_s:
            self._last_shown = now
            self._show("step", fields)

    def part(self, done: float, fields: Callable[[], dict[str, float | str]]) -> None:
        """Say how far the step under way is: `done` of the total with its part, such as 0.25.

        fields: the numbers worth showing; called only where this is shown, PART_S seconds after what was shown last.
        """
        if done % 1 and time.monotonic() - self._part_shown >= PART_S:  # a whole step is shown by `step`
            self._done = done
            self._show("part", fields())

    def _show(self, kind: str, fields: dict[str, float | str] | None = None) -> None:
        self._part_shown = time.monotonic()
        elapsed = self._part_shown - self._start
        fields = {name: v if isinstance(v, str | int) else float(v) for name, v in (fields or {}).items()}
        self._display.show(Event(kind, self._label, self._unit, self._done, self._total, elapsed, fields))


_displays: dict[str, Display] = {}


def _current_display() -> Display:
    if path := os.environ.get(PROGRESS_FILE):
        return _displays.setdefault(f"file {path}", ProgressFile(Path(path)))
    if _in_jupyter_kernel():
        return _displays.setdefault("notebook", NotebookDisplay())
    if holds_bars(sys.stderr):
        return _displays.setdefault("terminal", TerminalBar())
    return _displays.setdefault("lines", Lines())


def holds_bars(stream: TextIO) -> bool:
    """Whether `stream` is a terminal with a size; in one without (some containers) tqdm would draw nothing."""
    return stream.isatty() and os.get_terminal_size(stream.fileno()).lines > 0


def _in_jupyter_kernel() -> bool:
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython else None
    return shell is not None and hasattr(shell, "kernel")


@contextmanager
def task(label: str, total: int, unit: str = "epoch", every_s: float = 0.0, elapsed_s: float = 0.0) -> Iterator[Task]:
    """Show work of `total` steps while the block runs.

    label: what is being done, with model and seed where there is one; unit: what one step is; every_s: seconds that
    must pass between two shown steps (the last one is always shown); elapsed_s: seconds already spent on it, where an
    interrupted process had done a part.
    """
    running = Task(_current_display(), label, total, unit, every_s, elapsed_s)
    running._show("begin")
    try:
        yield running
    finally:
        running._show("end")


def say(line: str) -> None:
    """Show one line of news (a model taken from the store, a device chosen)."""
    _current_display().show(Event("say", line))


@contextmanager
def hidden() -> Iterator[None]:
    """Show nothing while the block runs."""
    before = os.environ.get(PROGRESS_FILE)
    os.environ[PROGRESS_FILE] = os.devnull
    try:
        yield
    finally:
        os.environ.pop(PROGRESS_FILE)
        if before is not None:
            os.environ[PROGRESS_FILE] = before


def follow(path: Path, display: Display, stop: threading.Event, poll_s: float = 0.2) -> None:
    """Show the events that another process appends to `path` until `stop` is set and all was read."""
    with path.open(encoding="utf-8") as file:
        partial = ""
        while True:
            finished = stop.is_set()  # asked before reading, so that the last lines are not missed
            while chunk := file.readline():
                partial += chunk
                if partial.endswith("\n"):
                    display.show(Event(**json.loads(partial)))
                    partial = ""
            if finished:
                return
            stop.wait(poll_s)
