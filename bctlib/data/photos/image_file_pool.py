"""Images to be embedded that stay on disk: IJB-C's crops, queries and gallery of Market-1501, anybody's own."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import torch

from bctlib.data.photos.contents import file_contents
from bctlib.data.photos.framing import AlignedFaces, Framing, WholeImage
from bctlib.data.photos.path_list import PathList
from bctlib.data.photos.reading import ImageList, default_workers, read_batches
from bctlib.base.share import Share
from bctlib.data.templates import digest
from bctlib.base.errors import BctError


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
