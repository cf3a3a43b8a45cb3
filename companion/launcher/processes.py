"""Trains what a notebook will need in several processes, before the notebook runs: `--processes N`."""

import json
import os
from collections.abc import Mapping, Sequence

from companion.launcher.command_line import Job, Value
from companion.launcher.watched_process import run_watched


def check_processes(n: int, jobs: Sequence[Job]) -> None:
    """Raises UsageError where n processes cannot share a batch of one of the jobs equally."""
    from bctlib.training.processes import Processes  # imports torch
    from bctlib.training.scales import scale_settings

    for job in [job for job in jobs if job.trained]:
        Processes(0, n).check_batch(scale_settings(job.scale, job.target.task).schedule.batch)


def train_in_processes(n: int, jobs: Sequence[Job], parameters: Mapping[str, Value]) -> int:
    """Train what the store lacks for the jobs, which are of one notebook, and embed with it; gives the exit status.

    parameters: of the notebook. Raises Interrupted as `run_watched` does, when all processes have ended.
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
        "companion.launcher.start_processes",
        [str(n), "companion.launcher.train_models", json.dumps([*words, *names])],
        OMP_NUM_THREADS=os.environ.get("OMP_NUM_THREADS", threads),
    )
