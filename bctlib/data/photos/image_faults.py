"""Which of many image files cannot be used: looked at by threads, before hours of work depend on them."""

from collections.abc import Iterable, Iterator
from pathlib import Path

from bctlib.base import progress
from bctlib.data.photos.files import fault
from bctlib.data.photos.threads import in_threads


def image_faults(root: Path, paths: Iterable[str], decode: bool = False) -> Iterator[tuple[int, str, str]]:
    """(position, path, what is wrong) of each image below `root` that cannot be used.

    Without `decode` only the first and last bytes are read (`bctlib.data.photos.files.fault`).
    """
    paths = list(paths)
    with progress.task(f"images of {root.name}", len(paths), unit="image", every_s=10) as task:
        for position, wrong in enumerate(in_threads(lambda path: fault(root / path, decode), paths)):
            if wrong:
                yield position, str(root / paths[position]), wrong
            if position % 1000 == 999 or position + 1 == len(paths):
                task.step(position + 1)
