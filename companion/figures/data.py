"""Pictures of the data: identities, typefaces, capture conditions, templates and training distortions.

For the paper's own photographs, if the user has them: training identities, templates of the protocols and distortions.
"""

from collections.abc import Sequence

import numpy as np
import torch
from matplotlib.figure import Figure

from bctlib.data.distortion import CAPTURE_CONDITIONS
from bctlib.data.glyphs import GlyphSet
from bctlib.data.paper.ijbc import IjbcProtocols
from bctlib.data.photos.distortion import ColourDistortion
from bctlib.data.protocols import GlyphProtocols
from bctlib.data.templates import TemplateSet
from bctlib.data.training_set import glyph_training_set
from companion.figures.drawing import drawn
from companion.sources.paper_data import Photographs
from companion.workbench import Workbench

_PHOTOGRAPH_GAP = 3


def strip(images: Sequence[np.ndarray]) -> np.ndarray:
    """Photographs uint8 [H,W,3] of one size side by side on white."""
    height = images[0].shape[0]
    gap = np.full((height, _PHOTOGRAPH_GAP, 3), 255, np.uint8)
    return np.hstack([part for image in images for part in (image, gap)][:-1])


def _show_photographs(ax, sheet: np.ndarray, title: str, width: int) -> None:
    """A strip, aligned left and scaled so that `width` pixels fill the axes."""
    ax.imshow(sheet, interpolation="nearest")
    ax.set(xlim=(0, max(width, sheet.shape[1])), anchor="W")
    ax.set_title(title, loc="left", pad=2)
    ax.axis("off")


def plot_training_photographs(pictures: Photographs, scale: str, n_identities: int = 5, n_columns: int = 12) -> Figure:
    """The first images of some training identities (rows), framed as for the network."""
    n_identities = min(n_identities, len(pictures.classes))
    chosen = np.linspace(0, len(pictures.classes) - 1, n_identities).astype(int)
    rows = [
        strip([pictures.images[int(i)] for i in np.flatnonzero(pictures.labels == identity)[:n_columns]])
        for identity in chosen
    ]
    with drawn(
        scale, "training_identities", height=0.6 * n_identities + 0.2, nrows=n_identities, squeeze=False
    ) as (figure, axes):  # fmt: skip
        for number, (ax, row) in enumerate(zip(axes[:, 0], rows, strict=True)):
            title = f"{pictures.title}: one of {len(pictures.classes):,} identities per row" if number == 0 else ""
            _show_photographs(ax, row, title, max(each.shape[1] for each in rows))
    return figure


def plot_distorted_photographs(bench: Workbench, n_images: int = 3, n_distorted: int = 8) -> Figure:
    """One picture of each of the first training identities, then distorted versions as the network sees them."""
    pictures = bench.glyphs
    firsts = np.unique(pictures.labels, return_index=True)[1][:n_images]
    distort, rows = ColourDistortion(**bench.settings.distortion), []
    for position in firsts:
        image = pictures.images[int(position)]
        stored = torch.from_numpy(image.copy()).permute(2, 0, 1).expand(n_distorted, -1, -1, -1)
        shown = distort(stored, torch.Generator().manual_seed(int(position)))
        shown = shown.add(1).mul(127.5).round().to(torch.uint8).permute(0, 2, 3, 1).numpy()
        rows.append(strip([image, *shown]))
    with drawn(
        bench.scale, "training_distortions", height=0.75 * len(rows) + 0.2, nrows=len(rows), squeeze=False
    ) as (figure, axes):  # fmt: skip
        for number, (ax, row) in enumerate(zip(axes[:, 0], rows, strict=True)):
            title = "picture, then what the network is shown: turned, scaled, shifted, in other colours"
            _show_photographs(ax, row, title if number == 0 else "", row.shape[1])
    return figure


def plot_photograph_templates(protocols: IjbcProtocols, scale: str, n_identities: int = 3, most: int = 6) -> Figure:
    """For some subjects: images of their first probe (left) and of their template in the gallery (right)."""
    probes, enrolled = protocols.verification.first, protocols.verification.second
    both = np.intersect1d(probes.identity, enrolled.identity)[:n_identities]
    with drawn(
        scale, "protocol_templates", height=0.6 * len(both) + 0.2, nrows=len(both), ncols=2, squeeze=False
    ) as (figure, axes):  # fmt: skip
        for row, identity in enumerate(both):
            for ax, templates, side in ((axes[row, 0], probes, "probes"), (axes[row, 1], enrolled, "galleries")):
                images = _first_template(protocols, templates, identity)[:most]
                _show_photographs(
                    ax, strip(images), side if row == 0 else "", most * (images[0].shape[1] + _PHOTOGRAPH_GAP)
                )
    return figure


def _first_template(protocols: IjbcProtocols, templates: TemplateSet, identity: int) -> list[np.ndarray]:
    first = int(np.flatnonzero(templates.identity == identity)[0])
    return [protocols.pool.image(int(position)) for position in templates.images_of(first)]


def _strip(images: list[np.ndarray], gap: int = 3) -> np.ndarray:
    """Images [S,S] side by side, dark ink on white paper."""
    side = images[0].shape[0]
    sheet = np.zeros((side, len(images) * (side + gap) - gap), np.uint8)
    for place, image in enumerate(images):
        sheet[:, place * (side + gap) : place * (side + gap) + side] = image
    return 255 - sheet


def _show(ax, sheet: np.ndarray, title: str) -> None:
    ax.imshow(sheet, cmap="gray", vmin=0, vmax=255, interpolation="nearest")
    ax.set_title(title, loc="left", pad=2)
    ax.axis("off")


def plot_identities(glyphs: GlyphSet | Photographs, scale: str, n_identities: int = 5, n_typefaces: int = 16) -> Figure:
    """Some identities (rows), each in the same typefaces (columns), undistorted.

    Given photographs: some training identities and the first images of each.
    """
    if isinstance(glyphs, Photographs):
        return plot_training_photographs(glyphs, scale, n_identities)
    chosen = np.linspace(0, len(glyphs.characters) - 1, n_identities + 2).astype(int)[1:-1]
    faces = np.linspace(0, len(glyphs.typefaces) - 1, n_typefaces).astype(int)
    with drawn(scale, "glyph_identities", height=0.45 * n_identities + 0.2, nrows=n_identities) as (figure, axes):
        for number, (ax, identity) in enumerate(zip(axes, chosen, strict=True)):
            title = f"one identity per row, one of {len(glyphs.typefaces)} typefaces per column" if number == 0 else ""
            _show(ax, _strip([glyphs.images[identity, face] for face in faces]), title)
    return figure


def plot_templates(protocols: GlyphProtocols | IjbcProtocols, scale: str, n_identities: int = 3) -> Figure:
    """For some identities: first templates and probes (left) and second templates and gallery (right), as captured.

    Left and right share neither typeface nor kind of distortion. Given IJB-C: one probe and the enrolled template.
    """
    if isinstance(protocols, IjbcProtocols):
        return plot_photograph_templates(protocols, scale, n_identities)
    left, right = (" · ".join(CAPTURE_CONDITIONS[c].name for c in side) for side in protocols.conditions)
    with drawn(
        scale, "protocol_templates", height=0.5 * n_identities + 0.3, nrows=n_identities, ncols=2
    ) as (figure, axes):  # fmt: skip
        for row, identity in enumerate(protocols.identities[:n_identities]):
            for ax, templates, side, conditions in (
                (axes[row, 0], protocols.verification.first, "first templates and probes", left),
                (axes[row, 1], protocols.verification.second, "second templates and galleries", right),
            ):
                title = f"{side}:\n{conditions}" if row == 0 else ""
                _show(ax, _templates_of(protocols, templates, identity), title)
    return figure


def _templates_of(protocols: GlyphProtocols, templates: TemplateSet, identity: int) -> np.ndarray:
    """All templates of an identity in one strip, a grey bar between templates."""
    parts = []
    for template in np.flatnonzero(templates.identity == identity):
        parts.append(_strip([protocols.pool.images[i] for i in templates.images_of(template)]))
        parts.append(np.full((parts[-1].shape[0], 3), 128, np.uint8))
    return np.hstack(parts[:-1])


_DRAW_SEED = 0
_GAP = 3  # pixels of paper between pictures; the gap after the originals is wider


def plot_distortions(bench: Workbench, n_images: int = 3, n_distorted: int = 11) -> Figure:
    """Training pictures (left) and distorted versions as the network sees them (right), with the scale's distortion.

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
    with drawn(bench.scale, "training_distortions", height=0.58 * n_images + 0.25) as (figure, ax):
        ax.imshow(-sheet, cmap="gray", vmin=-1, vmax=1, interpolation="nearest")
        ax.text(0, -5, "picture")
        ax.text(pitch + margin, -5, "what the network is shown: turned, sheared, scaled, shifted, faded, noisy")
        ax.axis("off")
    return figure
