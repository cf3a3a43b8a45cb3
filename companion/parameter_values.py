"""Allowed values of the notebooks' parameters, checked by the command line and by each notebook's first call."""

import math
import re
from collections.abc import Callable
from dataclasses import dataclass

from bctlib.base.errors import UsageError


@dataclass(frozen=True)
class Values:
    """The allowed values of one parameter. expected: their description; fit: whether a value is allowed."""

    expected: str
    fit: Callable[[object], bool]


def _is_weight(value: object) -> bool:
    return type(value) in (int, float) and 0 <= value < math.inf


def _one_of(*names: str) -> Values:
    return Values(f"one of {', '.join(names)}", lambda value: value in names)


def _whole(low: int, high: int) -> Values:
    return Values(f"a whole number from {low} to {high}", lambda value: type(value) is int and low <= value <= high)


TRUTH = Values("True or False", lambda value: type(value) is bool)
PARAMETERS = {
    "lam": Values("a number of 0 or more", _is_weight),
    "force": TRUTH,
    "tradeoff": TRUTH,
    "stronger": TRUTH,
    "identities": TRUTH,
    "long_chain": TRUTH,
    "followup_weights": TRUTH,
    "grandparents": TRUTH,
    "timings": TRUTH,
    "n_queries": _whole(1, 16),
    "kind": _one_of("flat", "ivf", "hnsw"),
}
"""Every parameter of every notebook except `scale`, `seeds` and `device`, which have their own checks."""


def check_value(name: str, value: object) -> None:
    """Raises UsageError naming the parameter if the value is not allowed; others than PARAMETERS may have any value."""
    if name in PARAMETERS and not PARAMETERS[name].fit(value):
        raise UsageError(f"parameter {name!r} is {value!r}, expected {PARAMETERS[name].expected}")


def check_device(device: object) -> str:
    """The device's name, checked. Raises UsageError for an unknown device."""
    if not isinstance(device, str) or not re.fullmatch(r"auto|cpu|cuda(:\d+)?", device):
        raise UsageError(f"unknown device {device!r}: expected auto, cpu, cuda or cuda:N")
    return device
