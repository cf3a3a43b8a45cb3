"""Runs a notebook, or another long command, in a process of its own: shows its progress and leaves nothing running."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

from bctlib.base import progress
from bctlib.base.locations import PROJECT
from companion.launcher.execute_notebook import KERNEL_DIED

PATIENCE_S = 15  # time for an interrupted run to end its children before it is killed


class Interrupted(Exception):
    """A signal asked the launcher to stop; `signum` says which."""

    def __init__(self, signum: int):
        super().__init__(signal.Signals(signum).name)
        self.signum = signum


def run_watched(module: str, words: list[str], **environment: str) -> int:
    """Run `python -m MODULE WORDS... FAULT` and return its exit status, or 1 if a signal killed it.

    FAULT is a file to which it may write in one sentence why it failed. That sentence goes to stderr here; without it,
    the last lines of its output do. Progress goes to stdout: bars on a terminal, whole lines elsewhere. Raises
    Interrupted on SIGINT, SIGTERM or SIGHUP, after the process and its children have ended.
    """
    with tempfile.TemporaryDirectory(prefix="bct-run-") as temporary, _signals_raise():
        folder = Path(temporary)
        events, fault, log = (folder / name for name in ("events.jsonl", "fault.txt", "process.log"))
        events.touch()
        with log.open("wb") as log_file:
            process = subprocess.Popen(
                [sys.executable, "-P", "-m", module, *words, str(fault)],
                env=os.environ | {progress.PROGRESS_FILE: str(events)} | environment,
                stdin=subprocess.DEVNULL,
                stdout=log_file,
                stderr=log_file,
                start_new_session=True,  # Ctrl-C reaches only this process, which then ends the other
            )
        try:
            with _followed(events):
                status = process.wait()
        finally:
            _end(process)
        if status:
            _report(status, fault, log)
    return 1 if status < 0 else status


def _report(status: int, fault: Path, log: Path) -> None:
    """Print the reason on stderr: the sentence of the process, or else the last lines of its output."""
    if fault.exists():
        print(fault.read_text(encoding="utf-8"), file=sys.stderr)
    if not fault.exists() or status == KERNEL_DIED:
        if status < 0:
            print(f"the run was killed by {signal.Signals(-status).name}", file=sys.stderr)
        last_lines = log.read_text(encoding="utf-8", errors="replace").splitlines()[-20:]
        print("\n".join(last_lines), end="\n" if last_lines else "", file=sys.stderr)


@contextlib.contextmanager
def _signals_raise() -> Iterator[None]:
    def interrupt(signum: int, frame) -> None:
        raise Interrupted(signum)

    watched = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = {signum: signal.signal(signum, interrupt) for signum in watched}
    try:
        yield
    finally:
        for signum, handler in before.items():
            signal.signal(signum, handler)


@contextlib.contextmanager
def _followed(events: Path) -> Iterator[None]:
    display = progress.TerminalBar(sys.stdout) if progress.holds_bars(sys.stdout) else progress.Lines(sys.stdout)
    stop = threading.Event()
    follower = threading.Thread(target=progress.follow, args=(events, display, stop), daemon=True)
    follower.start()
    try:
        yield
    finally:
        stop.set()
        follower.join()


def _end(process: subprocess.Popen) -> None:
    """End the process, which ends its children: papermill its kernel, torchrun its ranks."""
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(PATIENCE_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def runs_dir() -> Path:
    """The folder of executed notebooks, including failed ones."""
    return PROJECT / "runs"


def run_notebook(notebook: Path, output: Path, parameters: dict) -> int:
    """Execute `notebook` into `output` (never in place) with papermill and return the exit status (0, 1 or 138).

    Shows progress and raises Interrupted as `run_watched` does, after the notebook's process and kernel have ended.
    """
    output.parent.mkdir(parents=True, exist_ok=True)
    words = [str(notebook), str(output), json.dumps(parameters)]
    return run_watched("companion.launcher.execute_notebook", words)
