"""Runs a notebook in a process of its own, shows its progress and leaves no kernel behind."""

import json
from pathlib import Path

from companion.launcher.watched_process import run_watched
from bctlib.base.locations import PROJECT


def runs_dir() -> Path:
    """Executed notebooks, the failed ones too."""
    return PROJECT / "runs"


def run_notebook(notebook: Path, output: Path, parameters: dict) -> int:
    """Execute `notebook` into `output` (never in place) with papermill and give its exit status (0, 1, 138).

    Progress goes to stdout: bars on a terminal, whole lines elsewhere. Raises Interrupted on SIGINT, SIGTERM or
    SIGHUP, after the notebook's process and its kernel have ended.
    """
    output.parent.mkdir(parents=True, exist_ok=True)
    words = [str(notebook), str(output), json.dumps(parameters)]
    return run_watched("companion.launcher.execute_notebook", words)
