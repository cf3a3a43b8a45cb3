"""The launcher on a toy notebook in a folder of its own: `python tests/launcher/toy_launcher.py FOLDER WORDS...`.

FOLDER/notebooks/toy.ipynb is the one target, `toy`; plan and print_table, which need the real models, are small ones.
"""

import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

import nbformat

from bctlib.base import locations
from bctlib.models import with_lambda
from companion.launcher import command_line, listing, main, targets, watched_process

PARAMETERS = (
    'scale = "desk"  # smoke or desk\nseeds = [0]  # which seeds\ndevice = "auto"\nforce = False\nlam = 1.0\nepochs = 2'
)
KERNEL = {"name": "python3", "display_name": "Python 3", "language": "python"}


@dataclass(frozen=True)
class ToyModel:
    name: str
    seed: int
    cached: bool
    estimated_s: float

    @property
    def key(self) -> str:
        """Each name has a recipe of its own."""
        return f"{self.name} seed {self.seed}"


@dataclass(frozen=True)
class ToyTarget(targets.Target):
    task = "faces"

    def trained(self, parameters: Mapping[str, object]) -> tuple[str, ...]:
        return ("old", with_lambda("new-bct", parameters.get("lam", 1.0)))


def write_toy_notebook(folder: Path, *cells: str) -> Path:
    """A notebook with the usual parameters cell and the given code cells."""
    notebook = nbformat.v4.new_notebook(metadata={"kernelspec": KERNEL})
    notebook.cells = [nbformat.v4.new_code_cell(source) for source in (PARAMETERS, *cells)]
    notebook.cells[0].metadata["tags"] = ["parameters"]
    path = folder / "notebooks" / "toy.ipynb"
    path.parent.mkdir(parents=True, exist_ok=True)
    nbformat.write(notebook, path)
    return path


def toy_plan(models: Iterable[str], scale: str, seeds: list[int], *how: str, measure: bool = True) -> list[ToyModel]:
    return [ToyModel(name, seed, cached=seed == 0, estimated_s=30.0) for seed in seeds for name in models]


def install(folder: Path, replace=setattr) -> None:
    """Point the launcher at the toy. `replace` is setattr, or monkeypatch.setattr to undo it afterwards."""
    toys = (
        ToyTarget("toy", "toy.ipynb", "Table 0", ("Table 0",)),
        ToyTarget("toy2", "toy.ipynb", "Table 00", ()),
    )
    for module in (targets, command_line, listing):
        replace(module, "TARGETS", toys)
    for module in (watched_process, main):
        replace(module, "runs_dir", lambda: folder / "runs")
    replace(locations, "notebooks_dir", lambda: folder / "notebooks")


def fake_modules() -> dict[str, ModuleType]:
    """Stand-ins for the parts of the library that need trained models."""
    plans, tables = ModuleType("companion.measure.run"), ModuleType("companion.tables.tables")
    plans.plan, plans.basis, plans.require_data = toy_plan, lambda *_: "", lambda *_: None
    tables.print_table = lambda target, scale, *_: print(f"the table of {target} at {scale}")
    return {module.__name__: module for module in (plans, tables)} | {
        "companion.tables": ModuleType("companion.tables")
    }


if __name__ == "__main__":
    install(Path(sys.argv[1]))
    sys.modules |= fake_modules()
    sys.exit(main.main(sys.argv[2:]))
