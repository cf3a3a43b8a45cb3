"""The process that starts others by torchrun: `python -m companion.launcher.start_processes N MODULE WORDS FAULT`.

On this machine it runs what `torchrun --standalone --nproc_per_node=N -m MODULE WORDS...` runs; WORDS is a JSON list.
When one of the N fails the others are ended. Exit status 0 or the failed one's; then the file FAULT says why in a
sentence. run_processes starts this process and shows the progress meanwhile.
"""

import json
import signal
import sys
from pathlib import Path


def start(n: int, module: str, words: list[str], fault: Path) -> int:
    """Run the module in n processes and give the exit status; a fault is said in `fault`."""
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
    """What the process that failed first said of it, or how it died."""
    if failure.exitcode < 0:
        memory = "; most often memory ran out" if failure.exitcode == -signal.SIGKILL else ""
        return f"process {rank} of {n} (the first is 0) was killed by {failure.signal_name()}{memory}"
    if not isinstance(failure.message, dict):
        return f"process {rank} of {n} (the first is 0) ended with status {failure.exitcode} and said nothing"
    kind, _, sentence = failure.message["message"].partition(": ")
    return sentence if kind in ("BctError", "UsageError", "Diverged") else f"{kind}: {sentence} (process {rank} of {n})"


def main() -> int:
    n, module, words, fault = sys.argv[1:]
    return start(int(n), module, json.loads(words), Path(fault))


if __name__ == "__main__":
    sys.exit(main())
