"""Embeddings of image files written to one .npy file, block by block: what was interrupted goes on where it was."""

import contextlib
import errno
import io
import json
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO

import numpy as np
import torch

from bctlib.base import progress
from bctlib.data.photos.distortion import normalise_colour
from bctlib.data.photos.image_file_pool import ImageFilePool
from bctlib.data.photos.reading import ImageList, default_workers, read_batches
from bctlib.base.share import Share
from bctlib.base.errors import BctError
from bctlib.training.file_features import Embedder, embedded_batches
from bctlib.base.files import replace_atomically

_SAVE_S = 5.0
_SAMPLE = 32


def write_features(
    path: Path,
    model: Embedder,
    key: str,
    pool: ImageFilePool,
    device: torch.device,
    batch: int = 256,
    workers: int | None = None,
    last: Callable[[], object] = lambda: None,
) -> None:
    """Write float32 [pool.size, d] to `path`, which appears when it is complete; norms are kept.

    key: of the model. last: called when all rows are there, just before `path` appears. Until then `NAME.partial`
    holds the rows that are done, in the space that all of them need, and `NAME.partial.json` how many they are, of
    which model and images; with others one begins anew. Raises BctError when it cannot be written, naming an image that
    cannot be read, and naming a row that is not finite.
    """
    partial, note = path.with_name(path.name + ".partial"), path.with_name(path.name + ".partial.json")
    about = {"model": key, "images": pool.key, "shape": [pool.size, model.dim]}
    progress.say(f"features of {pool.root.name}: {pool.size:,} images, about {_estimate(model, pool, device, workers)}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        done = _done(partial, note, about)
    except OSError as error:
        raise BctError(f"cannot write into {path.parent}: {error.strerror or error}") from error
    if done == pool.size:
        progress.say(f"features of {pool.root.name}: all rows are there already")
    elif done:
        progress.say(f"features of {pool.root.name}: resuming at image {done + 1:,} of {pool.size:,}")
    elif note.exists():
        progress.say(f"features of {pool.root.name}: {partial.name} is of other images or another model; begun anew")
    with _Rows(partial, pool.size, model.dim, done) as rows:
        saved = time.perf_counter()
        for found in embedded_batches(model, pool, device, batch, workers, Share(pool.size, done, pool.size)):
            if not np.isfinite(found).all():
                bad = done + int(np.flatnonzero(~np.isfinite(found).all(axis=1))[0])
                raise BctError(f"the embedding of {pool.root / pool.paths[bad]} is not finite: the model is of no use")
            rows.append(found)
            done += len(found)
            if time.perf_counter() - saved > _SAVE_S:
                rows.flush()
                _write_note(note, about, done)
                saved = time.perf_counter()
        rows.flush()
    _write_note(note, about, done)
    last()
    try:
        partial.replace(path)
        note.unlink(missing_ok=True)
    except OSError as error:
        raise BctError(f"cannot write {path}: {error.strerror or error}") from error


class _Rows:
    """A .npy file of n rows of float32, written row by row; its space is reserved before the first, where that can be.

    Not a memory map: on a full disk that would end the process without a word. done: rows that it holds already.
    Raises BctError naming the file when it cannot be written.
    """

    def __init__(self, path: Path, n: int, dim: int, done: int):
        self.path = path
        header = io.BytesIO()
        form = {"descr": np.lib.format.dtype_to_descr(np.dtype(np.float32)), "fortran_order": False, "shape": (n, dim)}
        np.lib.format.write_array_header_1_0(header, form)
        begins, row = header.getvalue(), 4 * dim
        self.file: BinaryIO | None = None
        with self._said(f" ({n:,} rows take {(len(begins) + n * row) / 1e6:,.1f} MB)"):
            self.file = path.open("r+b" if done else "wb")
            _reserve(self.file, len(begins) + n * row)
            if not done:
                self.file.write(begins)
            self.file.seek(len(begins) + done * row)

    def append(self, rows: np.ndarray) -> None:
        """float32 [m, dim]."""
        with self._said():
            self.file.write(np.ascontiguousarray(rows, np.float32).data)

    def flush(self) -> None:
        with self._said():
            self.file.flush()

    def __enter__(self) -> "_Rows":
        return self

    def __exit__(self, *exception: object) -> None:
        with contextlib.suppress(OSError):  # what could not be written was said by `flush`
            self.file.close()

    @contextlib.contextmanager
    def _said(self, more: str = "") -> Iterator[None]:
        try:
            yield
        except OSError as error:
            if self.file is not None:
                with contextlib.suppress(OSError):
                    self.file.close()
            raise BctError(f"cannot write {self.path}: {error.strerror or error}{more}") from error


def _reserve(file: BinaryIO, size: int) -> None:
    """Give the file its whole length, and the disk space for it. Raises OSError where the disk has not that much."""
    if hasattr(os, "posix_fallocate"):
        try:
            os.posix_fallocate(file.fileno(), 0, size)
            return
        except OSError as error:
            if error.errno not in (errno.EOPNOTSUPP, errno.EINVAL, errno.ENOSYS):  # a file system that cannot
                raise
    file.truncate(size)


def _write_note(note: Path, about: dict, done: int) -> None:
    replace_atomically(note, lambda temporary: temporary.write_text(json.dumps({**about, "done": done})))


def _done(partial: Path, note: Path, about: dict) -> int:
    """Rows of the partial file that are of this model and these images, 0 if it is of others or damaged."""
    try:
        kept = json.loads(note.read_text())
        found = np.load(partial, mmap_mode="r", allow_pickle=False)
        if {**about, "done": kept["done"]} == kept and list(found.shape) == about["shape"]:
            return int(kept["done"])
    except (OSError, ValueError, KeyError, TypeError):
        pass
    return 0


def _estimate(model: Embedder, pool: ImageFilePool, device: torch.device, workers: int | None) -> str:
    """The time that reading and embedding should take, from a few images."""
    n = min(pool.size, _SAMPLE)
    began = time.perf_counter()
    (images,) = read_batches(ImageList(pool.root, pool.paths, pool.framing), np.arange(n), n, 0, device)
    reading = (time.perf_counter() - began) / max(1, default_workers() if workers is None else workers)
    began = time.perf_counter()
    model.embed(normalise_colour(images)).cpu()
    return progress.clock(pool.size * max(reading, time.perf_counter() - began) / n)
