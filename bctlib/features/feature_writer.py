"""Embeddings of image files written to one .npy file, block by block: what was interrupted goes on where it was."""

import json
import time
from pathlib import Path

import numpy as np
import torch

from bctlib import progress
from bctlib.data.colour_distortion import normalise_colour
from bctlib.data.image_file_pool import ImageFilePool
from bctlib.data.reading import ImageList, default_workers, read_batches
from bctlib.data.share import Share
from bctlib.errors import BctError
from bctlib.features.file_features import Embedder, embedded_batches
from bctlib.files import replace_atomically

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
) -> None:
    """Write float32 [pool.size, d] to `path`, which appears when it is complete; norms are kept.

    key: of the model. Until then `NAME.partial` holds the rows that are done, and `NAME.partial.json` how many they
    are, of which model and images; with others one begins anew. Raises BctError when it cannot be written, naming an
    image that cannot be read, and naming a row that is not finite.
    """
    partial, note = path.with_name(path.name + ".partial"), path.with_name(path.name + ".partial.json")
    about = {"model": key, "images": pool.key, "shape": [pool.size, model.dim]}
    progress.say(f"features of {pool.root.name}: {pool.size:,} images, about {_estimate(model, pool, device, workers)}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        done = _done(partial, note, about)
        mode = "r+" if done else "w+"
        rows = np.lib.format.open_memmap(partial, mode, np.float32, (pool.size, model.dim))
    except OSError as error:
        raise BctError(f"cannot write into {path.parent}: {error.strerror or error}") from error
    if done:
        progress.say(f"features of {pool.root.name}: resuming at image {done + 1:,} of {pool.size:,}")
    saved = time.perf_counter()
    for found in embedded_batches(model, pool, device, batch, workers, Share(pool.size, done, pool.size)):
        rows[done : done + len(found)] = found
        if not np.isfinite(found).all():
            bad = done + int(np.flatnonzero(~np.isfinite(found).all(axis=1))[0])
            raise BctError(f"the embedding of {pool.root / pool.paths[bad]} is not finite: the model is of no use")
        done += len(found)
        if time.perf_counter() - saved > _SAVE_S:
            rows.flush()
            _write_note(note, about, done)
            saved = time.perf_counter()
    rows.flush()
    del rows
    try:
        partial.replace(path)
        note.unlink(missing_ok=True)
    except OSError as error:
        raise BctError(f"cannot write {path}: {error.strerror or error}") from error


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
