"""Trains what a notebook will need in several processes, before the notebook runs: `--processes N`."""

import json
import os
from collections.abc import Sequence

from bctlib.launcher.command_line import Job
from bctlib.launcher.watched_process import run_watched


def train_in_processes(n: int, jobs: Sequence[Job], device: str, lam: float, force: bool) -> int:
    """Train and embed with every missing model of the jobs' targets in n processes; the exit status.

    The jobs are of one notebook, and so of one task, scale and list of seeds. Raises Interrupted as `run_watched` does.
    """
    first = jobs[0]
    names = dict.fromkeys(name for job in jobs for name in job.target.trained)
    words = ["--scale", first.scale, "--seeds", ",".join(map(str, first.seeds)) + ",", "--device", device]
    words += ["--task", first.target.task, "--lam", str(lam), *(["--force"] if force else [])]
    threads = os.environ.get("OMP_NUM_THREADS", str(max(1, (os.cpu_count() or 1) // n)))
    return run_watched(
        "bctlib.launcher.start_processes",
        [str(n), "bctlib.experiments.train_models", json.dumps([*words, *names])],
        OMP_NUM_THREADS=threads,
    )
