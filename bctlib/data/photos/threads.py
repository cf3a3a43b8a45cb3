"""A function over very many items in threads: for work that waits for the file system."""

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from typing import TypeVar

THREADS = 16
"""Enough to keep a disk busy, also one behind a network."""
_CHUNK = 256

Item = TypeVar("Item")
Result = TypeVar("Result")


def in_threads(function: Callable[[Item], Result], items: Iterable[Item], chunk: int = _CHUNK) -> Iterator[Result]:
    """The results in the order of the items.

    chunk: items of one task; the executor's own map makes a task, a kilobyte, of every single item.
    """
    left = iter(items)
    chunks = iter(lambda: list(islice(left, chunk)), [])
    with ThreadPoolExecutor(THREADS) as pool:
        for results in pool.map(lambda some: [function(item) for item in some], chunks):
            yield from results
