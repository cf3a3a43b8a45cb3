"""Item and class numbers: whole numbers that fit int64. -1 marks a hit that was not found."""

import numpy as np

from bctlib.base.errors import BctError
from bctlib.base.files import as_array

NOTHING = -1
"""Item and class of a hit that was not found because there were too few vectors."""
LARGEST = 2**63 - 1


def whole_numbers(name: str, values, n: int | None = None) -> np.ndarray:
    """int64 [n]. Raises BctError for another shape, and for values that are not whole numbers from 0 to 2^63 - 1."""
    values = as_array(name, values)
    if values.ndim != 1 or (values.dtype.kind not in "iuO" and values.size) or (n is not None and len(values) != n):
        expected = "one whole number for each vector" if n is None else f"{n} whole numbers, one for each item"
        raise BctError(f"{name}: expected {expected}, got {values.dtype} {list(values.shape)}")
    if values.dtype == object:  # Python's whole numbers beyond 64 bits, or anything else
        fits = np.array([isinstance(value, int | np.integer) and 0 <= value <= LARGEST for value in values], bool)
    else:
        fits = (values >= 0) & (values <= LARGEST)
    if not fits.all():
        place = int(np.argmin(fits))
        raise BctError(
            f"{name}: expected whole numbers from 0 to 2^63 - 1, got {values[place : place + 1].tolist()[0]!r} at "
            f"position {place}"
        )
    return values.astype(np.int64)


def check_distinct(items: np.ndarray) -> None:
    """Raises BctError naming an item that occurs twice."""
    distinct, counts = np.unique(items, return_counts=True)
    if len(distinct) < len(items):
        raise BctError(f"item {distinct[counts > 1][0]} is given twice, expected each item once")
