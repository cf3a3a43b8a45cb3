"""What the subcommands of `bctlib` share: one-sentence errors on stderr, exit statuses, operating points."""

import argparse
import os
import sys
from collections.abc import Callable

from bctlib.base.errors import BctError, UsageError

EXIT_STATUS = """\
Exit status: 0 done, 1 an input was refused (one sentence says which and why), 2 the command was not understood.
"""


class Parser(argparse.ArgumentParser):
    """Raises UsageError instead of leaving the process; description and epilog keep their line breaks."""

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
    except OSError as error:
        if error.filename is None:  # a fault of the code, not of a file that the user named
            raise
        print(f"{name}: cannot use {error.filename}: {error.strerror}", file=sys.stderr)
        return 1
    except MemoryError:
        print(f"{name}: not enough memory for these inputs", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


def add_points(parser: argparse.ArgumentParser, *names: str, otherwise: str = "else the paper's") -> None:
    """Options for the operating points `far`, `fpir`, `ranks`; `otherwise` is the help text on the default."""
    texts = {"far": "false accept rates", "fpir": "false positive identification rates"}
    for name, text in texts.items():
        if name in names:
            parser.add_argument(f"--{name}", type=_rate, nargs="+", metavar="RATE", help=f"{text} ({otherwise})")
    if "ranks" in names:
        parser.add_argument("--ranks", type=_rank, nargs="+", metavar="K", help=f"ranks k ({otherwise})")


def _rate(text: str) -> float:
    try:
        rate = float(text)
    except ValueError:
        rate = -1.0
    if not 0 <= rate <= 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no rate from 0 to 1")
    return rate


def _rank(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no rank from 1 on")
    return int(text)
