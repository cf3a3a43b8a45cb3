"""Embeddings of images that stay on disk: IJB-C's crops, Market-1501, anybody's own."""

import time
from collections.abc import Iterator
from typing import Protocol

import numpy as np
import torch

from bctlib.base import progress
from bctlib.data.photos.distortion import normalise_colour
from bctlib.data.photos.image_file_pool import ImageFilePool
from bctlib.base.share import Share
from bctlib.training.features import stored_features
from bctlib.training.artefact import Artefact


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
