"""The first call of every notebook: it checks the parameters and returns a workbench for each seed."""

import ast
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from bctlib.base.errors import UsageError, did_you_mean
from bctlib.training.scales import check_scale
from companion.parameter_values import check_device, check_value
from companion.tables.cells import View
from companion.workbench import Workbench

_OF_IPYTHON = {"In", "Out", "exit", "quit"}


@dataclass(frozen=True)
class Session:
    """Checked parameters of one run of a notebook."""

    scale: str
    seeds: tuple[int, ...]
    device: str
    force: bool
    task: str = "faces"
    lam: float = 1.0

    @cached_property
    def benches(self) -> tuple[Workbench, ...]:
        """One workbench (data, models, features) for each seed; nothing is loaded or trained yet."""
        return tuple(Workbench(self.scale, seed, self.device, self.force, self.task) for seed in self.seeds)

    @property
    def bench(self) -> Workbench:
        """The workbench of the first seed, for pictures."""
        return self.benches[0]

    def view(self, table: str) -> View:
        """The results of this run in `table`: from this machine if the table has rows of it, else from the device with
        the most seeds."""
        return View.here(table, self.scale, self.device, self.lam)


def start(
    namespace: Mapping[str, object],
    scale: str,
    seeds: int | Sequence[int],
    device: str,
    force: bool,
    task: str = "faces",
    **others: object,
) -> Session:
    """Check a notebook's parameters before anything runs.

    namespace: the notebook's `globals()`. Papermill accepts any `-p` name and only warns about one that the notebook
    does not have; this function finds such a stray value. Variables that later cells have set are not stray: in
    JupyterLab they still exist when all cells are run again. seeds: a list, or a count n for 0 to n-1. others: the
    notebook's further parameters. task: the data set at paper scale, "faces" or "persons". Raises UsageError naming
    the parameter.
    """
    known = {"scale", "seeds", "device", "force", *others}
    given = _set_as_parameters(namespace.get("In"), known)
    for name, value in namespace.items():
        stray = not name.startswith("_") and name not in known | _OF_IPYTHON and (given is None or name in given)
        if stray and isinstance(value, bool | int | float | str | list | dict | None):
            hint = did_you_mean(name, known)
            raise UsageError(f"unknown parameter {name!r}: this notebook has {', '.join(sorted(known))}{hint}")
    for name, value in {"force": force, **others}.items():
        check_value(name, value)
    return Session(check_scale(scale), _seeds(seeds), check_device(device), force, task, others.get("lam", 1.0))


def _set_as_parameters(cells: object, known: set[str]) -> set[str] | None:
    """Names that a parameters cell, or papermill's cell after it, has set; None without IPython.

    cells: the sources of all cells run so far. A parameters cell only assigns literals, at least one of them to a
    known name; papermill's cell starts with the comment `# Parameters`.
    """
    if not isinstance(cells, list):
        return None
    names: set[str] = set()
    for source in cells:
        assigned = _literals(source)
        if assigned & known or source.startswith("# Parameters\n"):
            names |= assigned
    return names


def _literals(source: str) -> set[str]:
    """The names that the cell sets, if it only assigns literals to names; otherwise none."""
    names = set()
    try:
        for statement in ast.parse(source).body:
            ast.literal_eval(statement.value)
            names |= {target.id for target in statement.targets}
    except (
        SyntaxError,
        ValueError,
        TypeError,
        RecursionError,
        AttributeError,
    ):  # a magic, not a literal, not a plain name
        return set()
    return names


def _seeds(seeds: int | Sequence[int]) -> tuple[int, ...]:
    if isinstance(seeds, int) and not isinstance(seeds, bool) and 0 < seeds < 10_000:  # millions are a typing error
        return tuple(range(seeds))
    listed = list(seeds) if isinstance(seeds, list | tuple) else []
    if not listed or len(set(listed)) < len(listed) or any(type(seed) is not int or seed < 0 for seed in listed):
        raise UsageError(f"parameter 'seeds' is {seeds!r}, expected a count or a list of different whole numbers")
    return tuple(listed)
