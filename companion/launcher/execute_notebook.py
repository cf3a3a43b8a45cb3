"""Executes one notebook with papermill: `python -m companion.launcher.execute_notebook IN OUT PARAMETERS FAULT`.

PARAMETERS is a JSON object. The exit status is 0, 1 if a cell failed, or 138 if the kernel died; on failure the file
FAULT gets the reason in one sentence. `run_notebook` starts this process and shows its progress.
"""

import json
import os
import signal
import sys
from pathlib import Path

CELL_FAILED, KERNEL_DIED = 1, 138


def _stop(signum: int, frame) -> None:
    raise KeyboardInterrupt  # papermill catches it and ends its kernel


def execute(notebook: Path, output: Path, parameters: dict, fault: Path) -> int:
    """Execute `notebook` in its folder, write it to `output` and return the exit status; a failure goes to `fault`."""
    import papermill
    from nbclient.exceptions import DeadKernelError
    from papermill.exceptions import PapermillExecutionError

    try:
        papermill.execute_notebook(
            str(notebook),
            str(output),
            parameters,
            kernel_name="python3",
            cwd=str(notebook.parent),
            progress_bar=False,
            coalesce_streams=True,
            iopub_timeout=60,
            extra_arguments=["--IPKernelApp.log_level=ERROR"],
        )
    except PapermillExecutionError as error:
        fault.write_text(f"cell {error.exec_count} failed: {error.ename}: {error.evalue}", encoding="utf-8")
        return CELL_FAILED
    except DeadKernelError:
        fault.write_text(
            "the notebook's kernel died; most often memory ran out: close other programs or use a smaller --scale",
            encoding="utf-8",
        )
        return KERNEL_DIED
    return 0


def main() -> int:
    signal.signal(signal.SIGTERM, _stop)
    signal.signal(signal.SIGINT, _stop)
    notebook, output, parameters, fault = sys.argv[1:]
    # The kernel must be this interpreter, even if the user has another kernel called "python3".
    os.environ["JUPYTER_PREFER_ENV_PATH"] = "1"
    os.environ.setdefault("PYDEVD_DISABLE_FILE_VALIDATION", "1")
    # jsonschema, which nbformat imports, spends a second or more on a grammar of IRIs; notebooks contain none.
    sys.modules["rfc3987_syntax"] = None
    try:
        return execute(Path(notebook), Path(output), json.loads(parameters), Path(fault))
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main())
