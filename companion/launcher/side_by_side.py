"""Training several models at once before a notebook runs, each in a process on a core of its own: `--workers N`.

At smoke and desk scale a model is trained on one thread (`threads` says why), and the other cores would stand idle.
`train_side_by_side` starts `python -m companion.launcher.side_by_side WORK FAULT`, which starts one process of
`train_models` a model, as soon as its old model is there. WORK is JSON; the file FAULT gets the reason of a failure.
"""

import heapq
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from bctlib.base.errors import UsageError
from bctlib.models import find_model
from companion.launcher.command_line import Job, Value
from companion.launcher.threads import ON_ONE_THREAD, THREADS
from companion.launcher.watched_process import run_watched

MEMORY_EACH = 3 << 30
"""Bytes that a training may take: a desk one has about 1.2 GB."""
START_S = 5.0
"""Seconds in which a process loads torch and the data."""
LEAST_SAVED_S = 30.0
"""Below this the trainings stay in the notebook: its progress is simpler, and an estimate may be wrong by as much."""
PATIENCE_S = 10  # less than that of `watched_process`, which waits for this process
POLL_S = 0.1
STOPPED = 128 + signal.SIGTERM


@dataclass(frozen=True)
class Training:
    """A model to train.

    old: the older model that must be trained first, None where it is there or there is none. chain_s: estimated seconds
    of this training and of the longest chain of those that wait for it.
    """

    name: str
    seed: int
    estimated_s: float
    old: str | None
    chain_s: float


def trainings(missing: Sequence) -> list[Training]:
    """Of the `PlannedModel`s that are to be trained, an old model before those that need it.

    Names that share a recipe are one training, under the first of them.
    """
    first = {}
    for model in missing:
        first.setdefault(model.key, model)
    trained_as = {(model.name, model.seed): first[model.key].name for model in missing}
    later_s, found = {}, []
    for model in reversed(first.values()):
        old = trained_as.get((find_model(model.name).old, model.seed))
        chain_s = model.estimated_s + later_s.get((model.name, model.seed), 0.0)
        later_s[old, model.seed] = max(chain_s, later_s.get((old, model.seed), 0.0))
        found.append(Training(model.name, model.seed, model.estimated_s, old, chain_s))
    return found[::-1]


def ready(waiting: Collection[Training], running: Collection[Training]) -> list[Training]:
    """Those that can begin, first those with the longest chain behind them."""
    unfinished = {(each.name, each.seed) for each in (*waiting, *running)}
    free = (each for each in waiting if (each.old, each.seed) not in unfinished)
    return sorted(free, key=lambda each: each.chain_s, reverse=True)


def duration_s(work: Sequence[Training], workers: int) -> float:
    """Estimated seconds of all trainings, so many side by side."""
    now, waiting, running = 0.0, list(work), []
    while waiting or running:
        for each in ready(waiting, [training for *_, training in running])[: workers - len(running)]:
            waiting.remove(each)
            heapq.heappush(running, (now + each.estimated_s + (START_S if workers > 1 else 0.0), id(each), each))
        now, *_ = heapq.heappop(running)
    return now


def workers_for(work: Sequence[Training], scale: str, device: str, asked: int | None) -> int:
    """How many models train at once: as many as are asked for, otherwise one a core where that saves time.

    Raises UsageError if more than one is asked for on a GPU, which one training fills.
    """
    from bctlib.training.devices import choose_device  # imports torch

    on_cpu = choose_device(device).type == "cpu"
    if asked is not None:
        if asked > 1 and not on_cpu:
            raise UsageError(f"workers: on {device} one model trains at a time; expected 1, not {asked}")
        return min(asked, max(1, len(work)))
    if not (on_cpu and scale in ON_ONE_THREAD):
        return 1
    threads = int(os.environ.get(THREADS) or 1)
    workers = min(_cores() // max(1, threads), _memory() // MEMORY_EACH, len(work))
    if workers < 2 or duration_s(work, 1) - duration_s(work, workers) < LEAST_SAVED_S:
        return 1
    return workers


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _memory() -> int:
    """Bytes of the machine."""
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):  # not POSIX
        return 4 * MEMORY_EACH


def train_side_by_side(
    work: Sequence[Training], workers: int, jobs: Sequence[Job], parameters: Mapping[str, Value]
) -> int:
    """Train the models of the jobs, embed with them, and return the exit status.

    jobs: of one notebook; parameters: of that notebook. Raises Interrupted as `run_watched` does, after all processes
    have ended; each leaves its checkpoint.
    """
    first = jobs[0]
    words = ["--scale", first.scale, "--task", first.target.task, "--device", str(parameters.get("device", "auto"))]
    if parameters.get("force"):
        words += ["--force", "--only-named"]
    content = {"workers": workers, "words": words, "trainings": [asdict(each) for each in work]}
    return run_watched("companion.launcher.side_by_side", [json.dumps(content)])


def start(
    work: Sequence[Training], workers: int, words: Sequence[str], fault: Path, stop: threading.Event | None = None
) -> int:
    """Train all, and return 0, the exit status of the first process that failed, or STOPPED once `stop` is set.

    The others are then ended. The reason of a failure is written to `fault`.
    """
    stop = stop or threading.Event()
    waiting, running = list(work), {}
    with tempfile.TemporaryDirectory(prefix="bct-train-") as folder:
        try:
            while waiting or running:
                for each in ready(waiting, running)[: workers - len(running)]:
                    waiting.remove(each)
                    log = Path(folder) / f"{each.name}-{each.seed}.log"
                    running[each] = _begin(each, words, log), log
                if stop.wait(POLL_S):
                    return STOPPED
                for each, (process, log) in list(running.items()):
                    if process.poll() is None:
                        continue
                    del running[each]
                    if process.returncode:
                        fault.write_text(_sentence(each, process.returncode, log), encoding="utf-8")
                        return process.returncode if process.returncode > 0 else 1
        finally:
            _end([process for process, _ in running.values()])
    return 0


def _begin(training: Training, words: Sequence[str], log: Path) -> subprocess.Popen:
    command = [sys.executable, "-P", "-m", "companion.launcher.train_models", training.name]
    with log.open("wb") as file:
        return subprocess.Popen(
            [*command, "--seeds", f"{training.seed},", *words],
            env={THREADS: "1", **os.environ}, stdin=subprocess.DEVNULL, stdout=file, stderr=file,
        )  # fmt: skip


def _end(processes: Sequence[subprocess.Popen]) -> None:
    for process in processes:
        process.terminate()
    until = time.monotonic() + PATIENCE_S
    for process in processes:
        try:
            process.wait(max(0.0, until - time.monotonic()))
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _sentence(training: Training, status: int, log: Path) -> str:
    """Why a training failed: its last line, or how it was killed."""
    label = f"{training.name} seed {training.seed}"
    if status < 0:
        memory = "; most often memory ran out" if status == -signal.SIGKILL else ""
        return f"{label}: its training was killed by {signal.Signals(-status).name}{memory}"
    lines = log.read_text(encoding="utf-8", errors="replace").split("\n")
    last = next((line for line in reversed(lines) if line.strip()), f"ended with status {status} and said nothing")
    last = last.removeprefix("train_models: ")
    return last if last.startswith(label) else f"{label}: {last}"


def _main() -> int:
    content, fault, stop = json.loads(sys.argv[1]), Path(sys.argv[2]), threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())  # an exception could come between a start and its record
    work = [Training(**each) for each in content["trainings"]]
    return start(work, content["workers"], content["words"], fault, stop)


if __name__ == "__main__":
    sys.exit(_main())
