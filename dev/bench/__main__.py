"""The benchmarks: `python -m dev.bench NAME [OPTIONS]`, which ./reproduce.sh bench NAME starts."""

import importlib
import sys

from bctlib.base.command import run_command
from bctlib.base.errors import unknown
from dev.bench import BENCHMARKS


def main(words: list[str]) -> int:
    """Run the benchmark that the first word names and return its exit status."""
    status = 0

    def work() -> None:
        nonlocal status
        if not words or words[0] not in BENCHMARKS:
            raise unknown("benchmark", words[0] if words else "", BENCHMARKS)
        status = importlib.import_module(f"dev.bench.{words[0]}").main(words[1:])

    return run_command("reproduce.sh", work) or status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
