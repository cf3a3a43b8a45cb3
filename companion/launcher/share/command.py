"""The command line of a share: `./reproduce.sh share table1 table3 --scale gpu --seeds 0,1,2 --minutes 9`."""

from collections.abc import Sequence

from bctlib.base import deadline
from bctlib.base.command import Parser
from bctlib.base.errors import UsageError
from bctlib.training.scales import check_scale
from companion.experiments import find_table
from companion.launcher.command_line import seeds_of
from companion.launcher.threads import set_threads


def main(words: Sequence[str]) -> int:
    """Run the command line and return the exit status.

    Raises OutOfTime (status 3) with what remains, and UsageError for an unknown table, scale, seed or device and for
    data that are not there.
    """
    options = _parser().parse_args(words)
    tables = [find_table(name) for name in dict.fromkeys(options.tables)]
    seeds = seeds_of(options.seeds)
    set_threads(check_scale(options.scale))  # before torch is loaded
    from companion.launcher.share.work import do_share
    from companion.measure.run import require_data
    from companion.workbench import Workbench

    for table in tables:
        require_data([table.name], options.scale, table.task)
    with deadline.in_seconds(60 * options.minutes):
        do_share([table.name for table in tables], [Workbench(options.scale, seed, options.device) for seed in seeds])
    print("nothing remains: every pair has its rows")
    return 0


def _parser() -> Parser:
    parser = Parser(prog="./reproduce.sh share", description=__doc__)
    parser.add_argument("tables", nargs="+", metavar="TABLE", help="table1, table3 ...: with all that share its models")
    parser.add_argument("--scale", default="gpu", help="smoke, desk, gpu (the default) or paper")
    parser.add_argument("--seeds", default="0,", help="a count (5) or a list (0,3,4); the default is seed 0")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda or cuda:N")
    parser.add_argument(
        "--minutes", type=_minutes, default=9.0,
        help="no model is begun after these, and one under way stops; what is being measured is finished (default: 9)",
    )  # fmt: skip
    return parser


def _minutes(text: str) -> float:
    try:
        minutes = float(text)
    except ValueError:
        minutes = -1.0
    if not 0 <= minutes < 100_000:
        raise UsageError(f"minutes: expected a number of 0 or more, not {text!r}")
    return minutes
