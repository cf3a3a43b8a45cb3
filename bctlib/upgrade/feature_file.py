"""Embeddings of image files, written to one .npy file block by block.

An interrupted run resumes: the finished rows are kept in a partial file, beside a note of their model and images.
"""

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
from bctlib.base.errors import BctError
from bctlib.base.files import replace_atomically
from bctlib.base.share import Share
from bctlib.data.photos.distortion import normalise_colour
from bctlib.data.photos.reading import ImageList, default_workers, read_batches
from bctlib.data.photos.sets import ImageFilePool
from bctlib.training.features import Embedder, embedded_batches

_SAVE_S = 5.0  # seconds between two notes of how many rows are done
_SAMPLE = 32  # images whose embedding is timed for the estimate


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

    key: of the model. last: called when all rows are written, just before `path` appears. Until then `NAME.partial`
    holds the finished rows, in a file of the final size, and `NAME.partial.json` their number, model and images. Rows
    of another model or of other images are not used. Raises BctError when the file cannot be written, when an image
    cannot be read, and when an embedding is not finite, naming the file or image.
    """
    partial, note = path.with_name(path.name + ".partial"), path.with_name(path.name + ".partial.json")
    about = {"model": key, "images": pool.key, "shape": [pool.size, model.dim]}

    def say(text: str) -> None:
        progress.say(f"features of {pool.root.name}: {text}")

    say(f"{pool.size:,} images, about {_estimate(model, pool, device, workers)}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        done = _done(partial, note, about)
    except OSError as error:
        raise BctError(f"cannot write into {path.parent}: {error.strerror or error}") from error
    if done == pool.size:
        say("all rows are there already")
    elif done:
        say(f"resuming at image {done + 1:,} of {pool.size:,}")
    elif note.exists():
        say(f"{partial.name} belongs to other images or another model; starting again")
    with _Rows(partial, pool.size, model.dim, done) as rows:
        saved = time.perf_counter()
        for found in embedded_batches(model, pool, device, batch, workers, Share(pool.size, done, pool.size)):
            if not np.isfinite(found).all():
                bad = done + int(np.flatnonzero(~np.isfinite(found).all(axis=1))[0])
                raise BctError(
                    f"the embedding of {pool.root / pool.paths[bad]} is not finite: the model cannot be used"
                )
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
    """A .npy file of float32 [n, dim], written in order. Its disk space is reserved first, if the file system can.

    Not a memory map: on a full disk a memory map ends the process without a message. done: rows already in the file.
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
        with contextlib.suppress(OSError):  # `flush` has reported what could not be written
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
    """Give the file its full length and reserve the disk space. Raises OSError if the disk has too little."""
    if hasattr(os, "posix_fallocate"):
        try:
            os.posix_fallocate(file.fileno(), 0, size)
            return
        except OSError as error:
            if error.errno not in (errno.EOPNOTSUPP, errno.EINVAL, errno.ENOSYS):  # not supported by this file system
                raise
    file.truncate(size)


def _write_note(note: Path, about: dict, done: int) -> None:
    replace_atomically(note, lambda temporary: temporary.write_text(json.dumps({**about, "done": done})))


def _done(partial: Path, note: Path, about: dict) -> int:
    """How many rows of the partial file can be used: 0 if it is damaged, or of another model or other images."""
    try:
        kept = json.loads(note.read_text())
        found = np.load(partial, mmap_mode="r", allow_pickle=False)
        if {**about, "done": kept["done"]} == kept and list(found.shape) == about["shape"]:
            return int(kept["done"])
    except (OSError, ValueError, KeyError, TypeError):
        pass
    return 0


def _estimate(model: Embedder, pool: ImageFilePool, device: torch.device, workers: int | None) -> str:
    """How long reading and embedding will take, in words, measured on a few images."""
    n = min(pool.size, _SAMPLE)
    began = time.perf_counter()
    (images,) = read_batches(ImageList(pool.root, pool.paths, pool.framing), np.arange(n), n, 0, device)
    reading = (time.perf_counter() - began) / max(1, default_workers() if workers is None else workers)
    began = time.perf_counter()
    model.embed(normalise_colour(images)).cpu()
    return progress.clock(pool.size * max(reading, time.perf_counter() - began) / n)
