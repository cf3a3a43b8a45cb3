"""Embeddings of a pool of images, computed once per model and pool and kept beside the model in the store.

The images are glyphs in memory, or image files (IJB-C, Market-1501, a user's images).
"""

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Protocol

import numpy as np
import torch

from bctlib.base import progress
from bctlib.base.errors import BctError
from bctlib.base.files import check_seal, is_sealed, seal, set_aside
from bctlib.base.share import Share
from bctlib.data.distortion import normalise
from bctlib.data.photos.distortion import normalise_colour
from bctlib.data.photos.sets import ImageFilePool
from bctlib.data.templates import ImagePool
from bctlib.training.artefact import Artefact
from bctlib.training.processes import current_group
from bctlib.training.store import exclusive, model_folder


def embed_images(model: Artefact, images: np.ndarray, device: torch.device, batch: int = 1024) -> np.ndarray:
    """float32 [n,d] of uint8 images [n,S,S] in the evaluation transform; norms are kept."""
    parts = []
    for start in range(0, len(images), batch):
        block = torch.from_numpy(images[start : start + batch]).to(device)
        parts.append(model.embed(normalise(block)).cpu())
    return torch.cat(parts).numpy() if parts else np.empty((0, model.dim), np.float32)


class Pool(Protocol):
    """Images that are embedded once. key: names them and the way they are embedded; size: how many."""

    @property
    def key(self) -> str: ...

    @property
    def size(self) -> int: ...


def features_file(model: Artefact, pool: Pool) -> Path:
    return model_folder(model.recipe.key) / f"features-{pool.key}.npy"


def pool_features(model: Artefact, pool: ImagePool, device: torch.device) -> np.ndarray:
    """float32 [pool.size, d]: from the store if they are there and whole, else computed and stored.

    Raises BctError when the stored file is damaged, naming it, and when the store cannot be written.
    """
    return stored_features(model, pool, lambda share: embed_images(model, share.of(pool.images), device))


def stored_features(model: Artefact, pool: Pool, compute: Callable[[Share], np.ndarray]) -> np.ndarray:
    """The features that the store holds of any kind of pool, or what `compute` gives. Raises BctError as above.

    compute: float32 [n,d] of a share's images. Of several processes each computes its own; rank 0 writes.
    """
    path, processes = features_file(model, pool), current_group()
    if not processes.of_first(is_sealed(path)):
        with exclusive(f"{model.recipe.key}-{pool.key}", "features"):
            if not processes.of_first(is_sealed(path)):  # no other run computed them meanwhile
                features = processes.rows_at_first(compute(processes.share(pool.size)), pool.size)
                if processes.first:
                    seal(path, lambda temporary: _save(temporary, features))
                processes.barrier()
    try:
        return _read(path, (pool.size, model.dim))
    except BctError as error:
        raise set_aside(path, error) from error


def _read(path: Path, shape: tuple[int, int]) -> np.ndarray:
    check_seal(path)
    try:
        with path.open("rb") as file:  # np.load would open archives as well
            features = np.lib.format.read_array(file, allow_pickle=False)
    except (ValueError, OSError, EOFError) as error:
        raise BctError(f"{path} is not an array of features") from error
    if features.shape != shape or features.dtype != np.float32:
        raise BctError(f"{path} holds {features.dtype} {features.shape}, expected float32 {shape}")
    return features


def _save(path: Path, features: np.ndarray) -> None:
    """As np.save, which however overlooks a disk that is full when only its last bytes no longer fit."""
    features = np.ascontiguousarray(features)
    with path.open("wb") as file:
        np.lib.format.write_array_header_1_0(file, np.lib.format.header_data_from_array_1_0(features))
        file.write(features.data)


def comparable(query: np.ndarray, gallery_dim: int, transform: torch.nn.Module | None = None) -> np.ndarray:
    """Query features [n,d_new] in the space of a gallery of `gallery_dim` elements (paper Sec. 3.6).

    By `transform` if there is one, else their first `gallery_dim` elements. Raises BctError when the query features
    are shorter than the gallery's.
    """
    if transform is not None:
        with torch.no_grad():
            return transform(torch.from_numpy(query)).numpy()
    if query.shape[1] < gallery_dim:
        raise BctError(f"query features have {query.shape[1]} elements, expected at least the gallery's {gallery_dim}")
    return np.ascontiguousarray(query[:, :gallery_dim])


class Embedder(Protocol):
    """What embeds images: a trained model, or an old one in any form."""

    @property
    def dim(self) -> int: ...

    def embed(self, images: torch.Tensor) -> torch.Tensor: ...


def embedded_batches(
    model: Embedder,
    pool: ImageFilePool,
    device: torch.device,
    batch: int = 256,
    workers: int | None = None,
    share: Share | None = None,
) -> Iterator[np.ndarray]:
    """float32 [n, d] of `batch` images at a time, the last shorter, with progress; otherwise as `embed_files`."""
    share = share or Share.whole(pool.size)
    done, began = 0, time.perf_counter()
    with progress.task(f"features of {pool.root.name}", len(share), unit="image", every_s=10) as task:
        for images in pool.batches(batch, workers, device, share):
            images = normalise_colour(images)
            found = model.embed(images)
            if pool.mirrored:
                found = found + model.embed(images.flip(3))
            yield found.cpu().numpy()
            done += len(found)
            task.step(done, images_per_s=done / (time.perf_counter() - began))


def embed_files(
    model: Embedder,
    pool: ImageFilePool,
    device: torch.device,
    batch: int = 256,
    workers: int | None = None,
    share: Share | None = None,
) -> np.ndarray:
    """float32 [n, d] in the evaluation transform, norms kept; mirror images added where the pool says so.

    share: of the pool's images, by default all. Raises BctError that names the first file that cannot be read.
    """
    share = share or Share.whole(pool.size)
    features, done = np.empty((len(share), model.dim), np.float32), 0
    for found in embedded_batches(model, pool, device, batch, workers, share):
        features[done : done + len(found)] = found
        done += len(found)
    return features


def file_features(
    model: Artefact, pool: ImageFilePool, device: torch.device, batch: int = 256, workers: int | None = None
) -> np.ndarray:
    """As `embed_files`, but from the store if they are there and whole; else computed and stored.

    Raises BctError also when the stored file is damaged, and when the store cannot be written.
    """
    return stored_features(model, pool, lambda share: embed_files(model, pool, device, batch, workers, share))
