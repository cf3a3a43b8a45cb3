"""Where a measurement comes from: device, versions, commit."""

import functools
import platform
import subprocess
from importlib import metadata
from pathlib import Path

from bctlib.base.locations import PROJECT


def provenance(device: str = "cpu") -> dict[str, str]:
    """The columns device, versions and commit of a result row measured on `device` ("cpu", "cuda", "cuda:1").

    device: "cpu: <processor>, <n> threads" or the GPU's name; commit: short hash, "-dirty" where tracked code under
    bctlib/ or companion/ differs from it, "unknown" outside a git checkout.
    """
    return {"device": _device_name(device), "versions": _versions(), "commit": _commit()}


def _device_name(device: str) -> str:
    import torch

    if device.startswith("cuda"):
        return torch.cuda.get_device_name(device)
    threads = torch.get_num_threads()
    return f"cpu: {_processor()}, {threads} thread{'s' if threads > 1 else ''}"


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
    packages = [f"{name} {metadata.version(name)}" for name in ("bctlib", "torch", "numpy")]
    return "; ".join([*packages, f"python {platform.python_version()}"])


@functools.cache
def _commit() -> str:
    """Asked once per process: the code that runs is the code that was imported."""
    try:
        if Path(_git("rev-parse", "--show-toplevel")).resolve() != PROJECT:
            return "unknown"  # an unpacked copy inside somebody else's repository
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
