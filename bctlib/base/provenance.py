"""The provenance of a measurement: device, versions, commit."""

import functools
import os
import platform
import subprocess
import sys
from importlib import metadata
from pathlib import Path

from bctlib.base.locations import PROJECT


def provenance(device: str = "cpu") -> dict[str, str]:
    """The columns device, versions and commit of a result row measured on `device` ("cpu", "cuda", "cuda:1").

    device: "cpu: <processor>, <n> threads" or the GPU's name; commit: short hash, with "-dirty" where tracked code
    in bctlib/ or companion/ has uncommitted changes, "unknown" outside a git checkout. Loads torch for GPUs only.
    """
    return {"device": _device_name(device), "versions": _versions(), "commit": _commit()}


def _device_name(device: str) -> str:
    if device.startswith("cuda"):
        import torch

        return torch.cuda.get_device_name(device)
    threads = _threads()
    return f"cpu: {_processor()}, {threads} thread{'s' if threads > 1 else ''}"


def _threads() -> int:
    """Threads of torch if it is loaded, else of NumPy: OMP_NUM_THREADS, or the number of CPUs of the process."""
    if "torch" in sys.modules:
        return sys.modules["torch"].get_num_threads()
    asked = os.environ.get("OMP_NUM_THREADS", "")
    if asked.isdecimal() and int(asked) > 0:
        return int(asked)
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@functools.cache
def _processor() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        for line in cpuinfo.read_text(errors="replace").splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()


@functools.cache
def _versions() -> str:
    packages = [f"{name} {_version(name)}" for name in ("bctlib", "torch", "numpy")]
    return "; ".join([*packages, f"python {platform.python_version()}"])


def _version(name: str) -> str:
    """Of an installed package; bctlib also runs from a checkout that is on the path but not installed."""
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return "(not installed)"


@functools.cache
def _commit() -> str:
    """The commit of the imported code, read once per process because the imported code does not change."""
    try:
        if Path(_git("rev-parse", "--show-toplevel")).resolve() != PROJECT:
            return "unknown"  # an installed or unpacked copy inside another repository
        commit = _git("rev-parse", "--short=10", "HEAD")
        return commit + (
            "-dirty" if _git("status", "--porcelain", "--untracked-files=no", "--", "bctlib", "companion") else ""
        )
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


def _git(*words: str) -> str:
    return subprocess.run(
        ["git", "-C", str(PROJECT), *words], capture_output=True, text=True, check=True
    ).stdout.strip()
