"""A picture of the data: identities, typefaces, capture conditions, templates; or the paper's own photographs."""

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure

from bctlib.data.distortion import CAPTURE_CONDITIONS
from bctlib.data.glyphs import GlyphSet
from bctlib.data.paper.ijbc_protocols import IjbcProtocols
from bctlib.data.protocols import GlyphProtocols
from bctlib.data.templates import TemplateSet
from companion.paper_data import Photographs
from companion.figures.plot_photographs import plot_photograph_templates, plot_training_photographs
from bctlib.base.style import STYLE, new_figure, save_figure


def _strip(images: list[np.ndarray], gap: int = 3) -> np.ndarray:
    """Images [S,S] side by side on paper, ink dark."""
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
    """Some identities (rows), each in the same typefaces (columns), as designed, before any distortion.

    Given photographs: some training identities and the first images of each.
    """
    if isinstance(glyphs, Photographs):
        return plot_training_photographs(glyphs, scale, n_identities)
    chosen = np.linspace(0, len(glyphs.characters) - 1, n_identities + 2).astype(int)[1:-1]
    faces = np.linspace(0, len(glyphs.typefaces) - 1, n_typefaces).astype(int)
    with plt.rc_context(STYLE):
        figure, axes = new_figure(height=0.45 * n_identities + 0.2, nrows=n_identities)
        for number, (ax, identity) in enumerate(zip(axes, chosen, strict=True)):
            title = f"one identity per row, one of {len(glyphs.typefaces)} typefaces per column" if number == 0 else ""
            _show(ax, _strip([glyphs.images[identity, face] for face in faces]), title)
    return save_figure(figure, scale, "glyph_identities")


def plot_templates(protocols: GlyphProtocols | IjbcProtocols, scale: str, n_identities: int = 3) -> Figure:
    """For some identities: first templates and probes (left) and second templates and gallery (right), as captured.

    Left and right share neither typeface nor kind of distortion. Given IJB-C: one probe and the enrolled template.
    """
    if isinstance(protocols, IjbcProtocols):
        return plot_photograph_templates(protocols, scale, n_identities)
    left, right = (" · ".join(CAPTURE_CONDITIONS[c].name for c in side) for side in protocols.conditions)
    with plt.rc_context(STYLE):
        figure, axes = new_figure(height=0.5 * n_identities + 0.1, nrows=n_identities, ncols=2)
        for row, identity in enumerate(protocols.identities[:n_identities]):
            for ax, templates, side, conditions in (
                (axes[row, 0], protocols.verification.first, "first templates and probes", left),
                (axes[row, 1], protocols.verification.second, "second templates and galleries", right),
            ):
                title = f"{side}: {conditions}" if row == 0 else ""
                _show(ax, _templates_of(protocols, templates, identity), title)
    return save_figure(figure, scale, "protocol_templates")


def _templates_of(protocols: GlyphProtocols, templates: TemplateSet, identity: int) -> np.ndarray:
    """All templates of an identity in one strip, a grey bar between templates."""
    parts = []
    for template in np.flatnonzero(templates.identity == identity):
        parts.append(_strip([protocols.pool.images[i] for i in templates.images_of(template)]))
        parts.append(np.full((parts[-1].shape[0], 3), 128, np.uint8))
    return np.hstack(parts[:-1])
