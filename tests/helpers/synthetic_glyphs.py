"""A glyph set made of smooth random images, for tests that need no real typefaces."""

import numpy as np
import torch
import torch.nn.functional as F

from bctlib.data.glyphs import GlyphSet


def synthetic_glyphs(n_identities=24, n_typefaces=8, side=16, missing=0.1, seed=0) -> GlyphSet:
    """One blob pattern per identity, a smaller one per glyph; `missing` is the share of absent glyphs."""
    rng = np.random.default_rng(seed)
    pattern = rng.normal(size=(n_identities, 1, 4, 4)) + 0.3 * rng.normal(size=(n_identities, n_typefaces, 4, 4))
    smooth = F.interpolate(torch.from_numpy(pattern).float(), size=(side, side), mode="bilinear").numpy()
    present = rng.random((n_identities, n_typefaces)) >= missing
    images = (255 / (1 + np.exp(-4 * smooth))).astype(np.uint8) * present[:, :, None, None]
    return GlyphSet(
        characters=tuple(chr(0x4E00 + i) for i in range(n_identities)),
        typefaces=tuple(f"face-{i}" for i in range(n_typefaces)),
        images=images.astype(np.uint8),
        present=present,
        version="synthetic",
    )
