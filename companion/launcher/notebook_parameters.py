"""A notebook's parameters cell: names and types, against which the command line's values are checked."""

import ast
import contextlib
import io
from pathlib import Path

from bctlib.base.errors import BctError, UsageError
from bctlib.base.usage import unknown

Value = bool | int | float | str | list | None
NO_LITERAL = (ValueError, TypeError, SyntaxError, MemoryError, RecursionError)
"""What ast.literal_eval raises, by its documentation."""


def read_defaults(notebook: Path) -> dict[str, Value]:
    """Names and default values of the cell tagged `parameters`. Raises BctError where a default is no literal."""
    from papermill import inspect_notebook  # half a second, not needed for --help

    if not notebook.exists():
        raise BctError(f"the notebook {notebook.name} is missing from {notebook.parent}")
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            found = inspect_notebook(str(notebook))
    except Exception as error:  # a damaged file fails within nbformat and papermill in any way
        reason = " ".join(str(error).split())[:200]
        raise BctError(f"{notebook.name} is no notebook that papermill understands: {reason}") from None
    defaults = {}
    for name, parameter in found.items():
        try:
            defaults[name] = ast.literal_eval(parameter["default"])
        except NO_LITERAL:
            raise BctError(f"{notebook.name}: the parameter {name} must have a literal as its default") from None
    return defaults


def parse_value(notebook: Path, defaults: dict[str, Value], name: str, text: str) -> Value:
    """`text` as the type that the default of `name` has. Raises UsageError for an unknown name or another type."""
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
    """`[0, 3]` or `0,3`, each entry like the default's first."""
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
