"""Parses the command line of ./reproduce.sh into a request. Every word is checked before anything runs.

Values of `-p` take the types of the defaults in the notebook's parameters cell.
"""

import argparse
import ast
import contextlib
import io
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from bctlib.base import locations
from bctlib.base.errors import BctError, UsageError, unknown
from bctlib.training.scales import check_scale
from companion.launcher.targets import TARGETS, Target, find_target
from companion.parameter_values import check_device, check_value

Value = bool | int | float | str | list | None
NO_LITERAL = (ValueError, TypeError, SyntaxError, MemoryError, RecursionError)
"""The exceptions of ast.literal_eval, from its documentation."""


def read_defaults(notebook: Path) -> dict[str, Value]:
    """Names and default values of the cell tagged `parameters`. Raises BctError if a default is not a literal."""
    from papermill import inspect_notebook  # half a second, not needed for --help

    if not notebook.exists():
        raise BctError(f"the notebook {notebook.name} is missing from {notebook.parent}")
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            found = inspect_notebook(str(notebook))
    except Exception as error:  # a damaged file can raise any exception in nbformat or papermill
        reason = " ".join(str(error).split())[:200]
        raise BctError(f"{notebook.name} is not a notebook that papermill can read: {reason}") from None
    defaults = {}
    for name, parameter in found.items():
        try:
            defaults[name] = ast.literal_eval(parameter["default"])
        except NO_LITERAL:
            raise BctError(f"{notebook.name}: the parameter {name} must have a literal as its default") from None
    return defaults


def parse_value(notebook: Path, defaults: dict[str, Value], name: str, text: str) -> Value:
    """`text` converted to the type of the default of `name`. Raises UsageError for an unknown name or a wrong type."""
    if name not in defaults:
        raise unknown(f"parameter of {notebook.name}", name, list(defaults))
    default = defaults[name]
    try:
        return _parse_like(default, text)
    except ValueError:
        expected = _kind(default)
        raise UsageError(f"parameter {name}: expected {expected} like {default!r}, not {text!r}") from None


def _parse_like(default: Value, text: str) -> Value:
    if isinstance(default, str):
        return text
    if isinstance(default, bool):
        return _truth(text)
    if isinstance(default, int):
        return int(text)
    if isinstance(default, float):
        return float(text)
    if isinstance(default, list | tuple):
        return _parse_list(default, text)
    return _literal(text)


def _parse_list(default: list | tuple, text: str) -> list:
    """`[0, 3]` or `0,3`, each entry converted to the type of the default's first entry."""
    text = text.strip()
    if text.startswith(("[", "(")):
        listed = _literal(text)
        if not isinstance(listed, list | tuple):
            raise ValueError
        entries = [str(entry) for entry in listed]
    else:
        entries = [entry.strip() for entry in text.split(",") if entry.strip()]
    return [_parse_like(default[0] if default else None, entry) for entry in entries]


def _literal(text: str) -> Value:
    try:
        return ast.literal_eval(text)
    except NO_LITERAL:
        return text


def _truth(text: str) -> bool:
    if text.lower() not in ("true", "false", "1", "0"):
        raise ValueError
    return text.lower() in ("true", "1")


def _kind(default: Value) -> str:
    kinds = {bool: "true or false", int: "a whole number", float: "a number", list: "a list", tuple: "a list"}
    return kinds.get(type(default), "a value")


def seeds_of(text: str) -> list[int]:
    """`5` means seeds 0 to 4; `0,3,4`, `[0, 3, 4]` and `5,` mean the seeds they list. Raises UsageError."""
    if text.strip().isdecimal():
        seeds = list(range(int(text))) if len(text.strip()) < 5 else []  # a count of 10,000 or more is a typing error
    else:
        entries = text.strip().removeprefix("[").removesuffix("]").strip().removesuffix(",").split(",")
        seeds = [int(entry) for entry in entries if re.fullmatch(r"\s*\d{1,9}\s*", entry)]
        if len(seeds) < len(entries):
            seeds = []
    if not seeds or len(set(seeds)) < len(seeds):
        raise UsageError(f"seeds: expected a count like 5 or a list of different ones like 0,3,4, not {text!r}")
    return seeds


# The options that each command takes; targets take all but --yes.
COMMANDS = {"list": (), "plan": ("scale", "seeds", "workers", "force", "p"), "figures": (), "clean": ("yes",)}
PASSED_ON = ("test", "lab", "data", "bench", "recipe", "share")  # all further words go to what the command runs
ALL = "all"
TARGET_OPTIONS = ("scale", "seeds", "device", "workers", "processes", "force", "p")

HELP = """\
usage: ./reproduce.sh COMMAND [OPTIONS]

  TARGET ...         run the target's notebook and show its table; targets: {targets}
  all                every target, each notebook once; models already in the store are reused
  list               all targets: notebook, part of the paper, cost at each scale, models in the store
  plan TARGET        models to train, models in the store, estimated time; trains nothing
  figures            redraw every figure from the committed results
  test [ARGS]        run the tests (ARGS go to pytest)
  test long [ARGS]   run the long tests: killed trainings, fuzzed parsers, notebooks in a browser
  lab [ARGS]         JupyterLab in this environment, open at a page that says what to read (--port N, --no-browser ...)
  data check [ARGS]  check the paper's own data: present, missing or damaged (--root DIR; more: data check --help)
  bench evaluation   time the metrics on generated features of real size, beside other libraries (more: --help)
  bench training     images/s beside a plain loop, share of matrix peak, cost of each method (more: --help)
  bench heads        time and memory of the loss with 10^5 and 10^6 classes, for a batch and parts of it
  share TABLE ...    tables without notebooks, as far as --minutes allow; called again it goes on (share --help)
  recipe [run]       the search for the desk recipe; `run` does what of it is missing (docs/recipe.md)
  clean [--yes]      remove trained models and executed notebooks; never results or figures

options of a target (and --scale, --seeds, --workers, --force, -p of plan):
  --scale SCALE      smoke (a minute), desk (a laptop's CPU, the default), gpu, paper
  --seeds SEEDS      a count (5) or a list (0,3,4)
  --device DEVICE    auto, cpu, cuda or cuda:N
  --workers N        train N models side by side, each on one core (default: one a core, where that saves time)
  --processes N      train and embed in N processes by torchrun, with a GPU for each where there are any
  --force            train again the models that the store has
  -p NAME VALUE      any parameter of the notebook, repeated as needed

Executed notebooks go to runs/, results to results/, figures to figures/, models to store/. The environment variables
BCT_DATA, BCT_STORE, BCT_RESULTS and BCT_FIGURES move data, store, results and figures elsewhere.
Exit status: 0 done, 1 a run or check failed, 2 bad command (nothing was run), 3 a share's time
is over, 138 the notebook's kernel died.
"""


@dataclass(frozen=True)
class Job:
    """One run of a notebook: the parameters to pass, and the scale and seeds that follow from them and the defaults.

    trained: every model that it needs, by its name at the run's lambda. force: whether these are trained again.
    """

    target: Target
    parameters: dict[str, Value]
    scale: str
    seeds: list[int]
    trained: tuple[str, ...] = ()
    force: bool = False


@dataclass(frozen=True)
class Request:
    """A command with the jobs of its targets, or the words passed on.

    processes: how many train and embed each model. workers: how many models train at once; None: as many as pay.
    """

    command: str
    jobs: tuple[Job, ...] = ()
    words: tuple[str, ...] = ()
    yes: bool = False
    processes: int = 1
    workers: int | None = None


@dataclass
class _Options:
    words: list[str] = field(default_factory=list)
    scale: str | None = None
    seeds: str | None = None
    device: str | None = None
    workers: str | None = None
    processes: str | None = None
    force: bool = False
    yes: bool = False
    help: bool = False
    p: list[list[str]] = field(default_factory=list)


class _Parser(argparse.ArgumentParser):
    def error(self, message: str):
        raise UsageError(f"{message}; see ./reproduce.sh --help")


def help_text() -> str:
    """The text of --help."""
    return HELP.format(targets=", ".join(target.name for target in TARGETS))


def parse(argv: list[str]) -> Request:
    """The request, checked against targets, scales and the notebooks' parameters. Raises UsageError."""
    if argv and argv[0] in PASSED_ON:
        return Request(argv[0], words=tuple(argv[1:]))
    options = _options(argv)
    if options.help or not options.words:
        return Request("help")
    command, *rest = options.words
    if command not in COMMANDS:
        _only(options, "a target", TARGET_OPTIONS)
        known = [ALL, *COMMANDS, *PASSED_ON, *(target.name for target in TARGETS)]
        if bad := [word for word in options.words if word not in known]:
            raise unknown("target", bad[0], known)
        processes, workers = (_count(name, getattr(options, name)) for name in ("processes", "workers"))
        if workers and processes:
            raise UsageError("--workers and --processes: expected one of the two")
        jobs = tuple(_job(target, options) for target in _targets(options.words))
        return Request("run", jobs, processes=processes or 1, workers=workers)
    _only(options, command, COMMANDS[command])
    if command == "plan":
        if not rest:
            raise UsageError("plan needs a target: ./reproduce.sh plan table1")
        workers = _count("workers", options.workers)
        return Request("plan", tuple(_job(target, options) for target in _targets(rest)), workers=workers)
    if rest:
        raise UsageError(f"{command} takes no further words, not {' '.join(rest)!r}")
    return Request(command, yes=options.yes)


def _targets(words: Sequence[str]) -> list[Target]:
    """The named targets, each once; `all` stands for every target with `in_all`."""
    targets = [t for word in words for t in ([t for t in TARGETS if t.in_all] if word == ALL else [find_target(word)])]
    return [target for place, target in enumerate(targets) if target not in targets[:place]]


def _options(argv: list[str]) -> _Options:
    parser = _Parser(prog="reproduce.sh", add_help=False, allow_abbrev=False)
    parser.add_argument("words", nargs="*")
    for name in ("--scale", "--seeds", "--device", "--workers", "--processes"):
        parser.add_argument(name)
    for name in ("--force", "--yes"):
        parser.add_argument(name, action="store_true")
    parser.add_argument("-h", "--help", action="store_true")
    parser.add_argument("-p", nargs=2, action="append", default=[])
    options, left = parser.parse_known_intermixed_args(argv)
    if left:
        names = ["--scale", "--seeds", "--device", "--workers", "--processes", "--force", "--yes", "--help", "-p"]
        raise unknown("option", left[0].split("=")[0], names)
    return _Options(**vars(options))


def _only(options: _Options, command: str, allowed: tuple[str, ...]) -> None:
    for name in (*TARGET_OPTIONS, "yes"):
        if getattr(options, name) and name not in allowed:
            raise UsageError(f"{command} does not take {'-p' if name == 'p' else f'--{name}'}")


def _job(target: Target, options: _Options) -> Job:
    given = _named(options)
    for name, check in (("scale", check_scale), ("seeds", seeds_of), ("device", check_device)):
        for text in [text for other, text in given if other == name]:
            check(text)  # before the notebook is opened: these checks do not depend on it
    notebook = locations.notebooks_dir() / target.notebook
    defaults = read_defaults(notebook)
    parameters: dict[str, Value] = {}
    for name, text in given:
        if name in parameters:
            raise UsageError(f"parameter {name} was given twice")
        parameters[name] = parse_value(notebook, defaults, name, text)
        check_value(name, parameters[name])
    if "seeds" in parameters:
        parameters["seeds"] = seeds_of(dict(given)["seeds"])
    parameters = dict(target.parameters) | parameters
    effective = {"scale": "desk", "seeds": [0]} | defaults | parameters
    scale, seeds = check_scale(effective["scale"]), list(effective["seeds"])
    return Job(target, parameters, scale, seeds, target.trained(effective), bool(effective.get("force")))


def _named(options: _Options) -> list[tuple[str, str]]:
    """Every parameter given, as an option or with -p."""
    own = [(name, getattr(options, name)) for name in ("scale", "seeds", "device")]
    forced = [("force", "true")] if options.force else []
    return [pair for pair in own if pair[1] is not None] + forced + [(name, text) for name, text in options.p]


def _count(name: str, text: str | None) -> int | None:
    """The number that an option gives, None without it. Raises UsageError."""
    if text is not None and not (text.isdecimal() and int(text)):
        raise UsageError(f"{name}: expected a whole number of 1 or more, not {text!r}")
    return None if text is None else int(text)
