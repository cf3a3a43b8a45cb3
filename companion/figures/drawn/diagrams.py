"""Diagrams of boxes and arrows: the effect of a model update on a gallery (Fig. 1), and the influence loss (Eq. 8)."""

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch

from bctlib.base.style import COLOURS, TEXT
from companion.figures.drawing import drawn

Point = tuple[float, float]
_NEW, _OLD, _FAILS = COLOURS["new-bct"], COLOURS["old"], COLOURS["new-bct-sys"]
_HALF = 3.8  # half of a box's height


def _blank(ax: Axes, height: float) -> None:
    """Axes without a frame for a figure of this height: 100 units across, as many as fit down, y upwards from 0."""
    ax.set(xlim=(0, 100), ylim=(0, 100 * height / TEXT), autoscale_on=False)
    ax.axis("off")


def _box(ax: Axes, x: float, y: float, width: float, text: str, colour="black") -> None:
    """A box with text, centred at (x, y)."""
    corner, style = (x - width / 2, y - _HALF), "round,pad=0,rounding_size=1"
    ax.add_patch(FancyBboxPatch(corner, width, 2 * _HALF, boxstyle=style, facecolor="white", edgecolor=colour, lw=1.5))
    ax.text(x, y, text, ha="center", va="center", fontsize=7.5)


def _arrow(ax: Axes, start: Point, end: Point, colour="black", dashed: bool = False, both: bool = False) -> None:
    form, line = ("<|-|>" if both else "-|>"), ("--" if dashed else "-")
    arrow = FancyArrowPatch(
        start, end, arrowstyle=form, mutation_scale=8, color=colour, lw=1.2, ls=line, shrinkA=0, shrinkB=0
    )
    ax.add_patch(arrow)


def plot_influence_loss(scale: str) -> Figure:
    """Eq. 8: one embedding goes into the new classifier, which learns, and into the old one, which is frozen."""
    with drawn(scale, "influence_loss", height=1.6) as (figure, ax):
        _blank(ax, 1.6)
        up, middle, down = 18.3, 11.6, 4.9
        _box(ax, 6.5, middle, 12, "training\npicture")
        _box(ax, 26, middle, 17, "new network\n$\\phi_{new}$, learns", _NEW)
        _box(ax, 56, up, 19, "new classifier\n$w_c$, learns", _NEW)
        _box(ax, 56, down, 19, "old classifier\n$w_{c\\,old}$, frozen", _OLD)
        _arrow(ax, (12.7, middle), (17.2, middle))
        _arrow(ax, (34.7, middle + 1), (46.2, up))
        _arrow(ax, (34.7, middle - 1), (46.2, down))
        ax.text(41.5, middle, "one embedding", va="center", fontsize=7)
        terms = (
            (up, "$L(w_c, w_\\phi; T_{new})$", "tell all identities apart"),
            (down, "$\\lambda\\ L(w_{c\\,old}, w_\\phi; T_{BCT})$", "be understood by the old model"),
        )
        for y, term, meaning in terms:
            _arrow(ax, (65.8, y), (71, y))
            ax.text(72, y + 1.6, term, va="center")
            ax.text(72, y - 1.8, meaning, va="center", fontsize=7)
        ax.text(72, middle, "+", va="center", fontsize=11)
    return figure


def plot_update(scale: str) -> Figure:
    """Fig. 1: without a compatible model the gallery is embedded again (left), with one it stays unchanged (right)."""
    with drawn(scale, "model_update", height=2.0) as (figure, ax):
        _blank(ax, 2.0)
        _update(ax, 0.5, "not compatible: backfill", compatible=False)
        _update(ax, 52, "backward compatible: no backfill", compatible=True)
    return figure


def _update(ax: Axes, left: float, title: str, compatible: bool) -> None:
    """One half of Fig. 1, 48 wide."""
    up, down = 20.5, 5.0
    ax.text(left, 27.6, title, va="center", fontsize=8, weight="bold")
    _box(ax, left + 5, up, 10, "query\npicture")
    _box(ax, left + 5, down, 10, "gallery\npictures")
    _box(ax, left + 20, up, 11, "new\nmodel", _NEW)
    _box(ax, left + 20, down, 11, "old\nmodel", _OLD)
    _box(ax, left + 39, up, 14, "query\nembedding", _NEW)
    _box(ax, left + 39, down, 14, "gallery\nembeddings", _OLD)
    for y in (up, down):
        _arrow(ax, (left + 10.2, y), (left + 14.3, y))
        _arrow(ax, (left + 25.7, y), (left + 31.8, y))
    link, middle = left + 42, (up + down) / 2
    if compatible:
        _arrow(ax, (link, up - 4), (link, down + 4), _NEW, both=True)
        ax.text(link - 1, middle, "compare", ha="right", va="center", fontsize=7)
    else:
        _arrow(ax, (link, up - 4), (link, down + 4), _FAILS, dashed=True, both=True)
        ax.text(link, middle, "×", ha="center", va="center", fontsize=16, color=_FAILS)
        _arrow(ax, (left + 9, down + 4), (left + 16, up - 4))
        ax.text(left + 14, middle, "every picture once more", va="center", fontsize=7)
