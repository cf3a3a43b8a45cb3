"""Pictures of the paper's own data, for those who hold them: training identities, and templates of the protocols."""

from collections.abc import Sequence

import matplotlib.pyplot as plt
import numpy as np
import torch
from matplotlib.figure import Figure

from bctlib.data.photos.distortion import ColourDistortion
from bctlib.data.paper.ijbc_protocols import IjbcProtocols
from bctlib.data.templates import TemplateSet
from companion.paper_data import Photographs
from companion.workbench import Workbench
from bctlib.base.style import STYLE, new_figure, save_figure

_GAP = 3


def strip(images: Sequence[np.ndarray]) -> np.ndarray:
    """Photographs uint8 [H,W,3] of one size side by side on white."""
    height = images[0].shape[0]
    gap = np.full((height, _GAP, 3), 255, np.uint8)
    return np.hstack([part for image in images for part in (image, gap)][:-1])


def _show(ax, sheet: np.ndarray, title: str, width: int) -> None:
    """A strip from the left, at the scale at which `width` pixels fill the axes."""
    ax.imshow(sheet, interpolation="nearest")
    ax.set(xlim=(0, max(width, sheet.shape[1])), anchor="W")
    ax.set_title(title, loc="left", pad=2)
    ax.axis("off")


def plot_training_photographs(pictures: Photographs, scale: str, n_identities: int = 5, n_columns: int = 12) -> Figure:
    """Some training identities (rows), the first images of each, framed as the network sees them."""
    n_identities = min(n_identities, len(pictures.classes))
    chosen = np.linspace(0, len(pictures.classes) - 1, n_identities).astype(int)
    rows = [
        strip([pictures.images[int(i)] for i in np.flatnonzero(pictures.labels == identity)[:n_columns]])
        for identity in chosen
    ]
    with plt.rc_context(STYLE):
        figure, axes = new_figure(height=0.6 * n_identities + 0.2, nrows=n_identities, squeeze=False)
        for number, (ax, row) in enumerate(zip(axes[:, 0], rows, strict=True)):
            title = f"{pictures.title}: one of {len(pictures.classes):,} identities per row" if number == 0 else ""
            _show(ax, row, title, max(each.shape[1] for each in rows))
    return save_figure(figure, scale, "training_identities")


def plot_distorted_photographs(bench: Workbench, n_images: int = 3, n_distorted: int = 8) -> Figure:
    """One picture of each of the first training identities, then what the network is shown instead."""
    pictures = bench.glyphs
    firsts = np.unique(pictures.labels, return_index=True)[1][:n_images]
    distort, rows = ColourDistortion(**bench.settings.distortion), []
    for position in firsts:
        image = pictures.images[int(position)]
        stored = torch.from_numpy(image.copy()).permute(2, 0, 1).expand(n_distorted, -1, -1, -1)
        shown = distort(stored, torch.Generator().manual_seed(int(position)))
        shown = shown.add(1).mul(127.5).round().to(torch.uint8).permute(0, 2, 3, 1).numpy()
        rows.append(strip([image, *shown]))
    with plt.rc_context(STYLE):
        figure, axes = new_figure(height=0.75 * len(rows) + 0.2, nrows=len(rows), squeeze=False)
        for number, (ax, row) in enumerate(zip(axes[:, 0], rows, strict=True)):
            title = "picture, then what the network is shown: turned, scaled, shifted, in other colours"
            _show(ax, row, title if number == 0 else "", row.shape[1])
    return save_figure(figure, bench.scale, "training_distortions")


def plot_photograph_templates(protocols: IjbcProtocols, scale: str, n_identities: int = 3, most: int = 6) -> Figure:
    """For some subjects: images of their first probe (left) and of their template in the gallery (right)."""
    probes, enrolled = protocols.verification.first, protocols.verification.second
    both = np.intersect1d(probes.identity, enrolled.identity)[:n_identities]
    with plt.rc_context(STYLE):
        figure, axes = new_figure(height=0.6 * len(both) + 0.2, nrows=len(both), ncols=2, squeeze=False)
        for row, identity in enumerate(both):
            for ax, templates, side in ((axes[row, 0], probes, "probes"), (axes[row, 1], enrolled, "galleries")):
                images = _first_template(protocols, templates, identity)[:most]
                _show(ax, strip(images), side if row == 0 else "", most * (images[0].shape[1] + _GAP))
    return save_figure(figure, scale, "protocol_templates")


def _first_template(protocols: IjbcProtocols, templates: TemplateSet, identity: int) -> list[np.ndarray]:
    first = int(np.flatnonzero(templates.identity == identity)[0])
    return [protocols.pool.image(int(position)) for position in templates.images_of(first)]
