"""A digest of the source code of a user's network, so that changed code counts as another network."""

import ast
import hashlib
import importlib.util
from collections.abc import Iterator
from pathlib import Path

from bctlib.base.foreign_networks import is_import_path, split_size


def code_of(backbone: str) -> str | None:
    """16 hexadecimal digits of the source of `package.module:factory`; None for any other network or without files.

    Covers the module of the factory and all modules that its import statements reach, except installed libraries; for
    a factory in an installed library, all of that library. Blank lines and comment lines do not count. Nothing is
    imported or run, so modules that are imported by other means than a statement are not covered.
    """
    plain, _ = split_size(backbone)
    sources = _sources(plain.partition(":")[0]) if is_import_path(plain) else {}
    if not sources:
        return None
    total = hashlib.sha256()
    for name, source in sorted(sources.items()):
        kept = (line.rstrip() for line in source.splitlines() if not line.lstrip().startswith(b"#"))
        total.update(f"\0{name}\0".encode() + b"\n".join(line for line in kept if line))
    return total.hexdigest()[:16]


def _sources(first: str) -> dict[str, bytes]:
    """The content of each covered file, by the name of its module."""
    top = _file(first.partition(".")[0])
    if top is not None and _is_installed(top):
        files = sorted(top.parent.rglob("*.py")) if top.name == "__init__.py" else [top]
        return {str(file.relative_to(top.parent)): file.read_bytes() for file in files}
    found, waiting = {}, list(_with_parents(first))
    while waiting:
        name = waiting.pop()
        file = None if name in found or name.partition(".")[0] == "bctlib" else _file(name)
        if file is None or _is_installed(file):
            continue
        try:
            found[name] = file.read_bytes()
        except OSError:
            continue
        package = name if file.name == "__init__.py" else name.rpartition(".")[0]
        waiting += _imported(found[name], package)
    return found


def _imported(source: bytes, package: str) -> Iterator[str]:
    """The names of modules that the import statements of a module in that package may mean."""
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError, RecursionError):  # compiled code has none
        return
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield from _with_parents(alias.name)
        elif isinstance(node, ast.ImportFrom):
            above = package.split(".")[: len(package.split(".")) + 1 - node.level] if node.level else []
            base = ".".join([*above, *filter(None, [node.module])])
            if base:
                yield from _with_parents(base)
                yield from (f"{base}.{alias.name}" for alias in node.names)


def _with_parents(name: str) -> Iterator[str]:
    parts = name.split(".")
    return (".".join(parts[: i + 1]) for i in range(len(parts)))


def _file(name: str) -> Path | None:
    """The file of a module, found without importing the packages that it is in."""
    top, *inner = name.split(".")
    try:
        spec = importlib.util.find_spec(top)
    except (ImportError, ValueError, AttributeError):
        return None
    if spec is None:
        return None
    file, folders = spec.origin, list(spec.submodule_search_locations or [])
    for part in inner:
        places = [Path(folder) / part for folder in folders]
        folders = [place for place in places if place.is_dir()]
        files = [place / "__init__.py" for place in folders] + [place.with_name(f"{part}.py") for place in places]
        file = next((each for each in files if each.is_file()), None)
    return Path(file) if file and Path(file).is_file() else None


def _is_installed(file: Path) -> bool:
    if any(part in ("site-packages", "dist-packages") for part in file.parts):
        return True
    return file.resolve().is_relative_to(Path(importlib.util.__file__).resolve().parents[1])  # the standard library
