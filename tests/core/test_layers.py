"""Imports go one way and without circles; folders, files and the paper's core stay small.

    dev -> companion -> bctlib.upgrade -> bctlib.training -> data, methods, losses, networks, models -> metrics, base

Every import statement counts, also inside functions and under TYPE_CHECKING.
"""

import ast
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("bctlib", "companion", "dev")

FLOORS = (
    ("bctlib.metrics", "bctlib.base"),
    ("bctlib.data", "bctlib.methods", "bctlib.losses", "bctlib.networks", "bctlib.models"),
    ("bctlib.training",),
    ("bctlib.upgrade",),
    ("bctlib.__main__",),
    ("companion",),
    ("dev",),
)
CORE = (
    *("losses.py", "methods/base.py", "methods/paper.py", "networks.py", "models.py"),
    *(f"metrics/{name}.py" for name in ("compatibility", "verification", "identification", "retrieval", "backfill")),
    *(f"data/{name}.py" for name in ("glyphs", "distortion", "protocols")),
    *("training/recipe.py", "training/loop.py"),
)


def modules(root: Path) -> dict[str, Path]:
    """The file of each module of the three packages, by dotted name; a package's `__init__.py` has the package's."""
    found = {}
    for path in (path for package in PACKAGES for path in sorted((root / package).rglob("*.py"))):
        parts = path.relative_to(root).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def imported(name: str, path: Path, known: dict[str, Path]) -> Iterator[str]:
    """The modules of `known` that the import statements of module `name` mean, the deepest each."""
    package = name if path.name == "__init__.py" else name.rpartition(".")[0]
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            meant = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            above = package.split(".")[: package.count(".") + 2 - node.level] if node.level else []
            base = ".".join([*above, *filter(None, [node.module])])
            meant = [f"{base}.{alias.name}" if f"{base}.{alias.name}" in known else base for alias in node.names]
        else:
            continue
        for each in meant:
            if each.partition(".")[0] in PACKAGES:
                assert each in known, f"{name} imports {each}, which is not there"
                yield each


def graph(root: Path) -> dict[str, set[str]]:
    known = modules(root)
    return {name: set(imported(name, path, known)) for name, path in known.items()}


def floor(name: str) -> int:
    """0 for the lowest; -1 for a package itself, which may import nothing."""
    for level, rooms in enumerate(FLOORS):
        if any(name == room or name.startswith(room + ".") for room in rooms):
            return level
    assert name == "bctlib", f"{name} is on no floor: enter its room in FLOORS"
    return -1


def upward(imports: dict[str, set[str]]) -> list[str]:
    """Each import of a module that stands on a higher floor."""
    return [f"{a} -> {b}" for a in sorted(imports) for b in sorted(imports[a]) if floor(b) > floor(a)]


def circles(imports: dict[str, set[str]]) -> list[str]:
    """A circle for each folder whose entries (files and folders, with all that they hold) import one another in one.

    A package's `__init__.py` is an entry of its folder like any other file.
    """
    arrows: dict[str, dict[str, set[str]]] = {}
    parts = {name: [*name.split("."), *(["__init__"] if is_package(name, imports) else [])] for name in imports}
    for name, others in imports.items():
        for other in others - {name}:
            depth = next(i for i, (a, b) in enumerate(zip(parts[name], parts[other], strict=False)) if a != b)
            folder = ".".join(parts[name][:depth])
            arrows.setdefault(folder, {}).setdefault(parts[name][depth], set()).add(parts[other][depth])
    found = []
    for folder, entries in arrows.items():
        try:
            TopologicalSorter(entries).prepare()
        except CycleError as error:
            found.append(f"{folder or 'top'}: {' <- '.join(error.args[1])}")
    return found


def is_package(name: str, imports: dict[str, set[str]]) -> bool:
    return name in PACKAGES or any(other.startswith(name + ".") for other in imports)


@pytest.fixture(scope="module")
def imports() -> dict[str, set[str]]:
    return graph(ROOT)


def test_nothing_imports_from_a_higher_floor(imports: dict[str, set[str]]):
    assert upward(imports) == []


def test_there_is_no_circle_between_files_or_folders(imports: dict[str, set[str]]):
    assert circles(imports) == []


def test_no_folder_has_more_than_twelve_entries():
    sizes = {}
    for top in (*PACKAGES, "tests"):
        for folder in (ROOT / top, *(path for path in (ROOT / top).rglob("*") if path.is_dir())):
            if not any(part == "__pycache__" or part.startswith(".") for part in folder.relative_to(ROOT).parts):
                left_out = ("__init__.py", "__pycache__")
                sizes[str(folder.relative_to(ROOT))] = sum(each.name not in left_out for each in folder.iterdir())
    assert {folder: size for folder, size in sizes.items() if size > 12} == {}


def test_no_file_has_more_than_320_lines():
    files = [path for top in (*PACKAGES, "tests") for path in (ROOT / top).rglob("*.py")]
    lines = {str(path.relative_to(ROOT)): len(path.read_text().splitlines()) for path in files}
    assert {path: n for path, n in lines.items() if n > 320} == {}


def test_the_core_of_the_paper_is_small():
    lines = {name: len((ROOT / "bctlib" / name).read_text().splitlines()) for name in CORE}
    assert len(lines) <= 15
    assert sum(lines.values()) <= 3000, lines


def test_faults_in_a_small_tree_are_found(tmp_path: Path):
    """Upward imports and circles, also relative, inside functions and under TYPE_CHECKING."""
    files = {
        "bctlib/__init__.py": "",
        "bctlib/base/files.py": "def f():\n    from bctlib.training.loop import train\n",
        "bctlib/losses.py": "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import companion.session\n",
        "bctlib/data/__init__.py": "",
        "bctlib/data/sets.py": "from .photos import index\n",
        "bctlib/data/photos/__init__.py": "",
        "bctlib/data/photos/index.py": "from ..sets import Set\n",
        "bctlib/training/loop.py": "import bctlib.losses, torch\n",
        "companion/session.py": "import dev\n",
        "dev/__init__.py": "",
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    imports = graph(tmp_path)
    assert upward(imports) == [
        "bctlib.base.files -> bctlib.training.loop",
        "bctlib.losses -> companion.session",
        "companion.session -> dev",
    ]
    assert sorted(each.partition(":")[0] for each in circles(imports)) == ["bctlib.data"]
