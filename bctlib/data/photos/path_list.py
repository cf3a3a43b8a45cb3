"""Millions of relative paths in two arrays: little memory, and nothing to copy into worker processes."""

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class PathList:
    """n relative paths, with `/` between folders whatever the operating system.

    text: uint8, all paths one after the other as the file system encodes them; start: int64 [n+1], path i is
    text[start[i]:start[i+1]]. A Python list of strings would be copied, object by object, by every worker process
    that touches its reference counts.
    """

    text: np.ndarray
    start: np.ndarray

    @classmethod
    def of(cls, paths: Iterable[str]) -> "PathList":
        encoded = [os.fsencode(path) for path in paths]
        start = np.zeros(len(encoded) + 1, np.int64)
        np.cumsum([len(path) for path in encoded], out=start[1:])
        return cls(np.frombuffer(b"".join(encoded), np.uint8), start)

    def __len__(self) -> int:
        return len(self.start) - 1

    def __getitem__(self, position: int) -> str:
        return os.fsdecode(self.text[self.start[position] : self.start[position + 1]].tobytes())

    def __iter__(self) -> Iterator[str]:
        text = self.text.tobytes()
        ends = self.start.tolist()
        for position in range(len(self)):
            yield os.fsdecode(text[ends[position] : ends[position + 1]])

    def take(self, positions: np.ndarray) -> "PathList":
        """The paths at those positions, in that order."""
        lengths = np.diff(self.start)[positions]
        start = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
        inside = np.arange(start[-1]) - np.repeat(start[:-1], lengths)
        return PathList(self.text[np.repeat(self.start[:-1][positions], lengths) + inside], start)
