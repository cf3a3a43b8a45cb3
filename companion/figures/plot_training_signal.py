"""What a model learns from: pictures of known identities, distorted anew each time it meets them."""

import matplotlib.pyplot as plt
import numpy as np
import torch
from matplotlib.figure import Figure

from bctlib.data.training_set import glyph_training_set
from companion.paper_data import Photographs
from companion.workbench import Workbench
from companion.figures.plot_photographs import plot_distorted_photographs
from bctlib.base.style import STYLE, new_figure, save_figure

_DRAW_SEED = 0
_GAP = 3  # pixels of paper between pictures; the originals stand further apart


def plot_distortions(bench: Workbench, n_images: int = 3, n_distorted: int = 11) -> Figure:
    """Training pictures (left) and what the network is shown instead (right), at the scale's own distortion.

    One picture of each of the first training identities of the split.
    """
    if isinstance(bench.glyphs, Photographs):
        return plot_distorted_photographs(bench, n_images)
    data = glyph_training_set(bench.glyphs, bench.split.train[:n_images])
    originals = data.images[torch.from_numpy(np.unique(data.labels.numpy(), return_index=True)[1])]
    distort = data.distortion(bench.settings.distortion)
    repeated = originals.repeat_interleave(n_distorted, dim=0)
    shown = distort(repeated, torch.Generator().manual_seed(_DRAW_SEED))[:, 0].unflatten(0, (n_images, n_distorted))
    side = originals.shape[-1]
    pitch, margin = side + _GAP, 3 * _GAP
    sheet = np.full((n_images * pitch - _GAP, (n_distorted + 1) * pitch - _GAP + margin), -1, np.float32)
    for row in range(n_images):
        pictures = [originals[row].numpy() / 127.5 - 1, *shown[row].numpy()]
        for column, picture in enumerate(pictures):
            left = column * pitch + (margin if column else 0)
            sheet[row * pitch : row * pitch + side, left : left + side] = picture
    with plt.rc_context(STYLE):
        figure, ax = new_figure(height=0.58 * n_images + 0.25)
        ax.imshow(-sheet, cmap="gray", vmin=-1, vmax=1, interpolation="nearest")
        ax.text(0, -5, "picture")
        ax.text(pitch + margin, -5, "what the network is shown: turned, sheared, scaled, shifted, faded, noisy")
        ax.axis("off")
    return save_figure(figure, bench.scale, "training_distortions")
