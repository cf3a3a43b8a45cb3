"""What the commands `python -m bctlib.NAME` share: one sentence on stderr instead of a traceback, and exit codes."""

import argparse
import os
import sys
from collections.abc import Callable

from bctlib.errors import BctError, UsageError

EXIT_STATUS = """\
Exit status: 0 done, 1 an input was refused (one sentence says which and why), 2 the command was not understood.
"""


class Parser(argparse.ArgumentParser):
    """Raises UsageError instead of leaving the process; description and epilog are shown as they are written."""

    def __init__(self, **settings):
        super().__init__(**{"formatter_class": argparse.RawDescriptionHelpFormatter, "allow_abbrev": False} | settings)

    def error(self, message: str):
        raise UsageError(f"{message}; see {self.prog} --help")


def run_command(name: str, work: Callable[[], object]) -> int:
    """Do `work` and give the exit status; errors are one sentence on stderr that begins with the command's name."""
    try:
        work()
        return 0
    except BctError as error:
        print(f"{name}: {error}", file=sys.stderr)
        return error.exit_code
    except BrokenPipeError:  # `... | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except MemoryError:
        print(f"{name}: not enough memory for these inputs", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
