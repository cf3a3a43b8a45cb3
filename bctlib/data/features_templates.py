"""From image features to template embeddings (paper Sec. 3.1: a template is one or more images of one identity)."""

import numpy as np
import torch
import torch.nn.functional as F

from bctlib.data.templates import TemplateSet
from bctlib.base.errors import BctError


def template_embeddings(features: np.ndarray, templates: TemplateSet) -> np.ndarray:
    """Sum the image features of each template and L2-normalise the sum once.

    features: float32 [n,d], one row per image of the pool, norms kept (an image with a stronger feature weighs more).
    Every image counts as a medium of its own, as glyphs have no videos: within the IJB-C rule (mean within a medium,
    sum over media) that leaves the sum; where the templates carry weights (those of that rule and the detector's score,
    for IJB-C) it is the weighted sum. Returns float32 [t,d] with rows of norm 1; a row of zeros stays zero.

    Raises BctError when features are not float32 [n,d], are too few for the templates, or are not finite.
    """
    if features.ndim != 2 or features.dtype != np.float32:
        raise BctError(f"image features are {features.dtype} {features.shape}, expected float32 [images, dimension]")
    if templates.size == 0:
        return np.empty((0, features.shape[1]), dtype=np.float32)
    needed = int(templates.image_index.max()) + 1
    if len(features) < needed:
        raise BctError(f"there are features of {len(features)} images, but the templates need {needed}")
    # A segment sum straight from the rows of the pool: no copy of the gathered features.
    summed = F.embedding_bag(
        torch.from_numpy(templates.image_index),
        torch.from_numpy(features),
        torch.from_numpy(templates.start),
        mode="sum",
        include_last_offset=True,
        per_sample_weights=None if templates.weight is None else torch.from_numpy(templates.weight),
    )
    if not torch.isfinite(summed).all():
        raise BctError("image features hold values that are not finite")
    return F.normalize(summed, dim=1).numpy()
