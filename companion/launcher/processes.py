"""Training in several processes before a notebook runs: `--processes N`.

`train_in_processes` starts `python -m companion.launcher.processes N MODULE WORDS FAULT`, which runs in this module
what `torchrun --standalone --nproc_per_node=N -m MODULE WORDS...` runs. WORDS is a JSON list. If one of the N processes
fails, torchrun ends the others, and the file FAULT gets the reason in one sentence.
"""

import json
import os
import signal
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from companion.launcher.command_line import Job, Value
from companion.launcher.watched_process import run_watched


def check_processes(n: int, jobs: Sequence[Job]) -> None:
    """Raises UsageError if n processes cannot divide a batch of one of the jobs equally."""
    from bctlib.training.processes import Processes  # imports torch
    from bctlib.training.scales import scale_settings

    for job in [job for job in jobs if job.trained]:
        Processes(0, n).check_batch(scale_settings(job.scale, job.target.task).schedule.batch)


def train_in_processes(n: int, jobs: Sequence[Job], parameters: Mapping[str, Value]) -> int:
    """Train the models of the jobs that the store lacks, embed with them, and return the exit status.

    jobs: of one notebook; parameters: of that notebook. Raises Interrupted as `run_watched` does, after all processes
    have ended.
    """
    first = jobs[0]
    names = list(dict.fromkeys(name for job in jobs for name in job.trained))
    if not names:
        return 0
    words = ["--scale", first.scale, "--seeds", f"{','.join(map(str, first.seeds))},", "--task", first.target.task]
    words += ["--device", str(parameters.get("device", "auto"))]
    if parameters.get("force"):
        words.append("--force")
    threads = str(max(1, (os.cpu_count() or 1) // n))  # torchrun's own default is 1
    return run_watched(
        "companion.launcher.processes",
        [str(n), "companion.launcher.train_models", json.dumps([*words, *names])],
        OMP_NUM_THREADS=os.environ.get("OMP_NUM_THREADS", threads),
    )


def start(n: int, module: str, words: list[str], fault: Path) -> int:
    """Run the module in n processes and return 0 or the exit status of the first that failed.

    The reason of a failure is written to `fault`.
    """
    from torch.distributed.elastic.multiprocessing.api import SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.run import parse_args, run

    try:
        run(parse_args(["--standalone", f"--nproc-per-node={n}", "-m", module, *words]))
    except ChildFailedError as error:
        rank, failure = error.get_first_failure()
        fault.write_text(_sentence(rank, n, failure), encoding="utf-8")
        return max(failure.exitcode, 1)
    except SignalException as stopped:
        return 128 + stopped.sigval
    return 0


def _sentence(rank: int, n: int, failure) -> str:
    """The message of the process that failed first, or how it was killed."""
    if failure.exitcode < 0:
        memory = "; most often memory ran out" if failure.exitcode == -signal.SIGKILL else ""
        return f"process {rank} of {n} (the first is 0) was killed by {failure.signal_name()}{memory}"
    if not isinstance(failure.message, dict):
        return f"process {rank} of {n} (the first is 0) ended with status {failure.exitcode} and said nothing"
    kind, _, sentence = failure.message["message"].partition(": ")
    return sentence if kind in ("BctError", "UsageError", "Diverged") else f"{kind}: {sentence} (process {rank} of {n})"


if __name__ == "__main__":
    n, module, words, fault = sys.argv[1:]
    sys.exit(start(int(n), module, json.loads(words), Path(fault)))
