"""Trains named models and embeds the protocols' images with them, in one process or several, without a notebook.

    python -m companion.launcher.train_models --scale smoke old new-bct
    torchrun --standalone --nproc_per_node=4 -m companion.launcher.train_models --scale gpu --seeds 3 old new-bct

The notebooks then find models and features in the store. `./reproduce.sh TARGET --processes N` runs the second line
for the models of a target. On several machines, the store must be a folder that all of them share.
"""

import functools
import os
import sys
import time
from collections.abc import Callable, Sequence

from bctlib.base import progress
from bctlib.base.command import Parser
from bctlib.base.errors import BctError, UsageError
from bctlib.models import find_model, with_lambda
from bctlib.training.processes import Processes, joined, rank_and_size
from companion.launcher.command_line import seeds_of
from companion.measure.run import train_missing
from companion.workbench import Workbench, with_ancestors

# torchrun ends all processes a tenth of a second after it sees that one failed. A process whose error may only repeat
# that of rank 0, or follow from the failure of another one, waits before it fails; so only the cause is reported.
_COMMON_S = 1.5  # for a BctError, which rank 0 usually raises too
_CONSEQUENCE_S = 4.0  # for any other error, which another process may have caused


def rank_main(work: Callable[[], None], command: str) -> int:
    """Do `work`, the part of this process, and return the exit status; a BctError is one sentence on stderr.

    The error also goes to the error file of torchrun. Any other exception is raised again.
    """
    from torch.distributed.elastic.multiprocessing.errors import record  # its import takes a second

    rank, size = rank_and_size()

    @functools.wraps(work)
    def patient() -> None:
        try:
            work()
        except BctError:
            time.sleep(_COMMON_S if rank else 0)
            raise
        except Exception:
            time.sleep(_CONSEQUENCE_S if size > 1 else 0)
            raise

    try:
        record(patient)()
    except BctError as error:
        print(f"{command}: {error}", file=sys.stderr)
        return error.exit_code
    return 0


COMMAND = "train_models"


def train_models(bench: Workbench, names: Sequence[str], parts: Sequence[str], processes: Processes) -> None:
    """Train the models and their old models that the store lacks, and embed the images of `parts` with each.

    Raises UsageError for an unknown model or part, and if the processes cannot divide a batch equally.
    """
    for part in parts:
        if part not in bench.data.parts:
            raise UsageError(f"unknown part {part!r}: expected one of {', '.join(bench.data.parts)}")
    for name in names:
        processes.check_batch(bench.recipe(name).schedule.batch)
    with processes.first_before_others():  # the others then read its cache of parsed files
        bench.data.require()
    diverged = train_missing(bench, tuple(names))
    for name in (name for name in names if name not in diverged):
        for part in parts:
            bench.features(name, part)


def main(words: Sequence[str] | None = None) -> int:
    """Run the command line and return the exit status."""
    return rank_main(lambda: _main(sys.argv[1:] if words is None else words), COMMAND)


def _main(words: Sequence[str]) -> None:
    options = parser().parse_args(words)
    names = [with_lambda(find_model(name).name, options.lam) for name in options.models]
    with joined(options.device) as (processes, device):
        if not processes.first:
            os.environ[progress.PROGRESS_FILE] = os.devnull  # rank 0 reports for all
        for seed in seeds_of(options.seeds):
            bench = Workbench(options.scale, seed, str(device), options.force, options.task)
            if options.only_named:
                bench.keep(set(with_ancestors(tuple(names))) - set(names))
            train_models(bench, names, options.embed, processes)


def parser() -> Parser:
    """The parser of the words after the module's name; it raises UsageError where argparse would exit."""
    parser = Parser(prog="python -m companion.launcher.train_models", description=__doc__)
    parser.add_argument("models", nargs="+", metavar="MODEL", help="names as in bctlib/models.py")
    parser.add_argument("--scale", default="desk", help="smoke, desk (the default), gpu or paper")
    parser.add_argument("--seeds", default="0,", help="a count (5) or a list (0,3,4); the default is seed 0")
    parser.add_argument("--device", default="auto", help="auto, cpu or cuda; of several processes each has a GPU")
    parser.add_argument("--task", default="faces", help="faces or persons; only paper scale needs it")
    parser.add_argument("--lam", type=float, default=1.0, help="lambda of the models that have one (default: 1)")
    parser.add_argument("--force", action="store_true", help="train again the models that the store has")
    parser.add_argument("--only-named", action="store_true", help="--force does not train their old models again")
    parser.add_argument(
        "--embed", nargs="*", default=["test"], metavar="PART", help="images to embed: test, validation, or none"
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
