"""Image files as a training set and as a pool to embed: they stay on disk, and worker processes decode batches."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch

from bctlib.base.errors import BctError
from bctlib.base.share import Share
from bctlib.data.photos.contents import file_contents
from bctlib.data.photos.distortion import ColourDistortion, normalise_colour
from bctlib.data.photos.files import PathList
from bctlib.data.photos.framing import AlignedFaces, Framing, WholeImage
from bctlib.data.photos.index import ImageIndex
from bctlib.data.photos.reading import ImageList, default_workers, read_batches
from bctlib.data.templates import digest


@dataclass(frozen=True)
class ImageFolderSet:
    """`TrainingData` whose images come from files.

    images: what to read. labels: int64 [N] into `classes`, whose names are sorted. workers: processes that decode (0:
    none); they change the speed, never a number. device: where batches go.
    """

    images: ImageList
    labels: torch.Tensor
    classes: tuple[str, ...]
    workers: int
    device: torch.device = torch.device("cpu")

    def __len__(self) -> int:
        return len(self.labels)

    def to(self, device: torch.device) -> "ImageFolderSet":
        """The same set, whose images come on `device`."""
        return replace(self, device=torch.device(device))

    def batches(self, order: torch.Tensor, size: int) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        """(uint8 [n,3,H,W], int64 [n]) for each `size` positions of `order` (int64 [m]); the last may be shorter.

        Distortion is left to the caller, who has whole batches. Raises BctError that names a file that cannot be read.
        """
        labels = self.labels[order].split(size)
        images = read_batches(self.images, order.numpy(), size, self.workers, self.device)
        yield from zip(images, labels, strict=True)

    def distortion(self, settings: Mapping[str, Any]) -> ColourDistortion:
        """What distorts a batch of these images for training. Raises BctError for a magnitude that makes no sense."""
        return ColourDistortion(**settings)

    def plain_batches(self, size: int = 256, share: Share | None = None) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        """(float32 [n,3,H,W] in the evaluation transform, int64 [n]) in order, each image of the share once."""
        share = share or Share.whole(len(self))
        for images, labels in self.batches(torch.arange(share.start, share.stop), size):
            yield normalise_colour(images), labels


def image_folder_set(
    index: ImageIndex,
    classes: np.ndarray | None = None,
    framing: Framing | None = None,
    workers: int | None = None,
) -> ImageFolderSet:
    """The training set over an index, or over a share of its identities.

    classes: positions in index.classes, by default all. framing: what of each image of the whole index is seen, by
    default all of it at 112 x 112. workers: by default one for each CPU core. Raises BctError where no identity is
    left and naming a file of 0 bytes.
    """
    framing = framing or WholeImage()
    if classes is not None:
        framing, index = framing.take(index.rows_of(classes)), index.restricted(classes)
    empty = np.flatnonzero(index.sizes == 0)
    if len(empty):
        raise BctError(f"{index.path(empty[0])}: is empty (0 bytes), as are {len(empty) - 1} other images")
    labels = torch.from_numpy(index.labels.astype(np.int64))
    workers = default_workers() if workers is None else workers
    return ImageFolderSet(ImageList(index.root, index.paths, framing), labels, index.classes, workers)


@dataclass(frozen=True)
class ImageFilePool:
    """n images below `root`, each once, in the order of their features. framing: what of each is seen.

    mirrored: whether the feature of an image x is f(x) + f(flip x), norm kept, instead of f(x).
    """

    root: Path
    paths: PathList
    framing: Framing
    mirrored: bool = False

    @property
    def size(self) -> int:
        """Number of images."""
        return len(self.paths)

    @cached_property
    def key(self) -> str:
        """Digest of names, contents (`file_contents`), framing and mirroring: addresses a model's features of these.

        Raises BctError that names the first file that is missing or cannot be read.
        """
        how = np.frombuffer(f"{type(self.framing).__name__} {self.mirrored}".encode(), np.uint8)
        contents = file_contents(self.root, self.paths)
        missing = np.flatnonzero(contents.sizes < 0)
        if len(missing):
            first = self.root / self.paths[missing[0]]
            raise BctError(f"{first}: no such image file ({len(missing)} of {self.size} images are missing)")
        return digest(self.paths.text, self.paths.start, contents.digests, how, *self.framing.digest_arrays)

    def image(self, position: int) -> np.ndarray:
        """One image as the network sees it, uint8 [H,W,3]. Raises BctError that names a file it cannot read."""
        return ImageList(self.root, self.paths, self.framing)[position]

    def batches(
        self,
        size: int = 256,
        workers: int | None = None,
        device: torch.device | None = None,
        share: Share | None = None,
    ) -> Iterator[torch.Tensor]:
        """uint8 [n,3,H,W] on `device`, in order, each image of the share (None: all) once.

        Raises BctError that names a file it cannot read.
        """
        workers = default_workers() if workers is None else workers
        share = share or Share.whole(self.size)
        images = ImageList(self.root, self.paths, self.framing)
        return read_batches(images, np.arange(share.start, share.stop), size, workers, device)


def ijbc_pool(root: Path | str, image_name: np.ndarray, landmarks: np.ndarray) -> ImageFilePool:
    """IJB-C's images in the order of its metadata, aligned by their landmarks and embedded with their mirror images.

    root: the folder that holds `loose_crop/` or, for those who aligned them before, `aligned/` (112 x 112, taken as
    they are; preferred where both exist). image_name: str [n]; landmarks: float32 [n,5,2], pixels of the loose crop.
    Raises BctError when neither folder is there.
    """
    root = Path(root).resolve()
    names = PathList.of(str(name) for name in image_name)
    if (root / "aligned").is_dir():
        return ImageFilePool(root / "aligned", names, WholeImage(), mirrored=True)
    if (root / "loose_crop").is_dir():
        return ImageFilePool(root / "loose_crop", names, AlignedFaces(np.asarray(landmarks, np.float32)), mirrored=True)
    raise BctError(f"{root} has neither loose_crop/ nor aligned/: expected the images of IJB-C's usual distribution")
