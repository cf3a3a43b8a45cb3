"""Images of any pool as they are shown."""

from collections.abc import Sequence

import numpy as np

from bctlib.data.photos.image_file_pool import ImageFilePool
from bctlib.data.templates import ImagePool


def pictures(pool: ImagePool | ImageFilePool, positions: Sequence[int]) -> np.ndarray:
    """Images of the pool as they are shown: uint8 [k,S,S], ink dark on paper, or [k,H,W,3] of image files.

    Raises BctError that names a file that cannot be read.
    """
    if isinstance(pool, ImagePool):
        return 255 - pool.images[list(positions)]
    return np.stack([pool.image(int(position)) for position in positions])
