"""What every figure shares: the house style, the folder it is saved in, and the picture of an interval."""

from collections.abc import Iterator
from contextlib import contextmanager

import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from bctlib.base.locations import figures_dir
from bctlib.base.style import COLOURS, STYLE, TEXT, new_figure, save_into

OLD_LINE = {"color": "0.4", "linestyle": "--", "linewidth": 1}
PARAGON_LINE = {"color": COLOURS["new*"], "linewidth": 1}


@contextmanager
def drawn(scale: str, name: str, width: float = TEXT, height: float = 2.6, **subplots) -> Iterator[tuple[Figure, Axes]]:
    """A new figure and its axes in the house style, sizes in inches; further arguments as for `plt.subplots`.

    Saved as `figures/<scale>/<name>.pdf` and `.png` and closed at the end of the block, unless the block raises.
    """
    with plt.rc_context(STYLE):
        figure, axes = new_figure(width, height, **subplots)
        yield figure, axes
        save_into(figure, figures_dir() / scale, name)


def draw_interval(
    ax: Axes, row: float, value: float, half_width: float | None, colour, marker: str = "o", size: float = 4.0,
    cap: float = 2.0, line: float = 1.0, filled: bool = True,
) -> None:  # fmt: skip
    """A point at height `row` with its interval along x. half_width: None for a point without a bar."""
    face = colour if filled else "none"
    ax.errorbar(
        value, row, xerr=half_width, fmt=marker, color=colour, markerfacecolor=face, markersize=size, capsize=cap,
        linewidth=line,
    )  # fmt: skip


def draw_beyond(ax: Axes, left: float, row: float, text: str, colour, fontsize: float = 7, filled: bool = True) -> None:
    """An arrow at the left edge with the value that lies beyond it."""
    face, size = (colour if filled else "none"), fontsize - 2
    ax.plot(left, row, marker="<", color=colour, markerfacecolor=face, markersize=size, clip_on=False)
    ax.annotate(text, (left, row), xytext=(fontsize - 1, -2.5), textcoords="offset points", fontsize=fontsize)


def draw_bounds(ax: Axes, old: float, paragon: float) -> None:
    """Dashed: the old model's own accuracy, which Eq. 2 asks to exceed; solid: the paragon's."""
    ax.axvline(old, **OLD_LINE)
    ax.axvline(paragon, **PARAGON_LINE)


def label_bounds(ax: Axes, old: str, paragon: str) -> None:
    """Entries of the legend for the lines of `draw_bounds`."""
    ax.plot([], [], label=old, **OLD_LINE)
    ax.plot([], [], label=paragon, **PARAGON_LINE)
