"""Seconds and peak memory of one piece of work.

The words after `./reproduce.sh bench NAME`.
"""

import argparse
import gc
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bctlib.base.errors import UsageError


@dataclass(frozen=True)
class Timing:
    """seconds: of the wall clock; cpu_s: of all threads together, which a busy machine inflates less.

    peak_mb: highest resident memory while it ran above that before, megabytes of 10**6; None where the system does
    not tell (only Linux does).
    """

    seconds: float
    cpu_s: float
    peak_mb: float | None


def measure(work: Callable[[], Any], repeats: int = 1) -> tuple[Timing, Any]:
    """The quickest of `repeats` runs, with its memory, and what the last one returned."""
    timings = []
    for _ in range(repeats):
        result = None
        gc.collect()
        before = _reset_peak()
        began, cpu = time.perf_counter(), time.process_time()
        result = work()
        seconds, cpu_s = time.perf_counter() - began, time.process_time() - cpu
        peak = None if before is None else (_memory_kb("VmHWM") - before) * 1024 / 1e6
        timings.append(Timing(seconds, cpu_s, peak))
    return min(timings, key=lambda timing: timing.seconds), result


def load() -> float | None:
    """Mean number of processes that wanted to run in the last minute."""
    return os.getloadavg()[0] if hasattr(os, "getloadavg") else None


def _reset_peak() -> int | None:
    """Forget the highest memory so far; the resident memory now, kB."""
    try:
        Path("/proc/self/clear_refs").write_text("5")
        return _memory_kb("VmRSS")
    except (OSError, StopIteration):
        return None


def _memory_kb(name: str) -> int:
    with open("/proc/self/status", encoding="ascii", errors="replace") as file:
        return next(int(line.split()[1]) for line in file if line.startswith(f"{name}:"))


class BenchParser(argparse.ArgumentParser):
    """One that raises UsageError, in a sentence, where argparse would print and exit."""

    def __init__(self, name: str, description: str):
        super().__init__(prog=f"./reproduce.sh bench {name}", description=description, allow_abbrev=False)

    def error(self, message: str):
        raise UsageError(f"{message}; see {self.prog} --help")
