"""A resumable share of tables in a given time: `./reproduce.sh share table1 table3 --seeds 0,1,2 --minutes 8`.

Needs no notebook. A seed of a table whose rows exist is not trained again, so that work goes on from the result rows
alone where the store is lost; a training that the deadline stopped resumes from its checkpoint. The deadline is looked
at between tables and in trainings, not while a table is measured: give some minutes less than the machine allows.
"""

from collections.abc import Sequence

from bctlib.base import deadline, progress
from bctlib.base.command import Parser
from bctlib.base.errors import BctError, UsageError
from bctlib.training.devices import training_provenance
from companion.experiments import find_experiment
from companion.launcher.command_line import seeds_of
from companion.measure.run import require_data, run_experiment
from companion.results import load_rows, readable_file
from companion.workbench import Workbench


def is_measured(table: str, bench: Workbench) -> bool:
    """Whether every table of the experiment of `table` has rows of the bench's seed, measured on its device."""
    device = training_provenance(bench.on)["device"]
    for name in find_experiment(table).tables:
        try:
            if not readable_file(bench.scale, name) or bench.seed not in set(
                load_rows(bench.scale, name, device)["seed"]
            ):
                return False
        except BctError:  # no rows of this device
            return False
    return True


def do_share(tables: Sequence[str], benches: Sequence[Workbench]) -> None:
    """Measure each table for each seed that lacks it, seed by seed. Raises OutOfTime with what remains."""
    wanted = [(table, bench) for bench in benches for table in tables]
    for done, (table, bench) in enumerate(wanted):
        try:
            if is_measured(table, bench):
                continue
            if deadline.passed():
                raise deadline.OutOfTime("time is over")
            run_experiment(table, [bench])
        except deadline.OutOfTime as stopped:
            left = [f"{name} seed {each.seed}" for name, each in wanted[done:] if not is_measured(name, each)]
            raise deadline.OutOfTime(f"{stopped}; remaining: {', '.join(left)}; the same command goes on") from None
        progress.say(f"{table} seed {bench.seed} is measured")


def main(words: Sequence[str]) -> int:
    """Run the command line and return the exit status. Raises OutOfTime (exit status 3) if something remains."""
    options = _parser().parse_args(words)
    for table in options.tables:
        require_data([table], options.scale)
    benches = [Workbench(options.scale, seed, options.device) for seed in seeds_of(options.seeds)]
    with deadline.in_seconds(60 * options.minutes):
        do_share(options.tables, benches)
    print("every table named has its rows")
    return 0


def _parser() -> Parser:
    parser = Parser(prog="./reproduce.sh share", description=__doc__)
    parser.add_argument("tables", nargs="+", metavar="TABLE", help="names as in companion/experiments.py: table1")
    parser.add_argument("--scale", default="gpu", help="smoke, desk, gpu (the default) or paper")
    parser.add_argument("--seeds", default="0,", help="a count (5) or a list (0,3,4); the default is seed 0")
    parser.add_argument("--device", default="auto", help="auto, cpu or cuda")
    parser.add_argument("--minutes", type=_minutes, default=9.0, help="when trainings stop (default: 9)")
    return parser


def _minutes(text: str) -> float:
    try:
        minutes = float(text)
    except ValueError:
        minutes = -1.0
    if not 0 <= minutes < 100_000:
        raise UsageError(f"minutes: expected a number of 0 or more, not {text!r}")
    return minutes
