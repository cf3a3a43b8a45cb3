"""Figure of Table 5: mAP of every pair in both directions, ours beside the paper's."""

import math

import matplotlib.pyplot as plt
from matplotlib.figure import Figure

from companion.pairs import LOWER_BOUND, PARAGON, REID_PAIRS, Pair
from companion.measure.reid import PROTOCOL
from companion.tables.cells import Cell, pair_text
from companion.tables.paper_numbers import paper_value
from companion.tables.reid import TABLE, reid_cells
from bctlib.base.style import COLOURS, STYLE, new_figure, save_figure

ROWS: tuple[Pair, ...] = tuple(pair for pair in REID_PAIRS if pair not in (LOWER_BOUND, PARAGON))


def plot_reid(scale: str, device: str | None = None, lam: float = 1.0) -> Figure:
    """mAP of each pair, ours at the left, the paper's at the right, where it has (old, new) only.

    Bars are the 95 % interval over seeds of the difference to (old, old), paired by seed. Dashed: (old, old), which
    Eq. 2 asks to beat; solid: the paragon. What lies far to the left is an arrow at the edge with its value.
    """
    cells = reid_cells(scale, device, lam)
    ours = {pair: cells[pair, "mAP", ""] for pair in REID_PAIRS if (pair, "mAP", "") in cells}
    values = {pair: paper_value(TABLE, *pair, PROTOCOL, "mAP") for pair in REID_PAIRS}
    paper = {pair: Cell(value, math.nan, ()) for pair, value in values.items() if value is not None}
    with plt.rc_context(STYLE):
        figure, axes = new_figure(height=2.1, ncols=2, sharey=True)
        for ax, here, title in (
            (axes[0], ours, f"ours: glyph identities, {scale} scale"),
            (axes[1], paper, "the paper: persons, Market-1501"),
        ):
            _panel(ax, here)
            ax.set(title=title, xlabel="mAP (%)")
        axes[0].set_yticks(range(len(ROWS)), [pair_text(pair) for pair in ROWS])
        axes[0].set_ylim(len(ROWS) - 0.5, -0.5)
        axes[0].plot([], [], color="0.4", linestyle="--", linewidth=1, label="(old, old), to be beaten (Eq. 2)")
        axes[0].plot([], [], color=COLOURS["new*"], linewidth=1, label="(new*, new*), paragon")
        figure.legend(loc="outside lower center", ncols=2)
    return save_figure(figure, scale, "table5_reid")


def _panel(ax, cells: dict[Pair, Cell]) -> None:
    """One row per pair between the lower bound and the paragon."""
    old, paragon = cells[LOWER_BOUND].mean, cells[PARAGON].mean
    span = max(paragon - old, 1.0)
    left, right = old - 0.6 * span, paragon + 0.25 * span
    ax.axvline(old, color="0.4", linestyle="--", linewidth=1)
    ax.axvline(paragon, color=COLOURS["new*"], linewidth=1)
    for row, pair in enumerate(ROWS):
        cell = cells.get(pair)
        new = next(name for name in pair if name != LOWER_BOUND[0])
        if cell is None:
            ax.text((old + paragon) / 2, row, "not in the paper", ha="center", va="center", fontsize=7, color="0.4")
        elif cell.mean < left:
            ax.plot(left, row, marker="<", color=COLOURS[new], markersize=5, clip_on=False)
            ax.annotate(f"{cell.mean:.1f}", (left, row), xytext=(6, -2.5), textcoords="offset points", fontsize=7)
        else:
            half = cell.minus(cells[LOWER_BOUND]).half_width if cell.values else math.nan
            bar = 0.0 if math.isnan(half) else half
            right = max(right, cell.mean + bar + 0.05 * span)
            ax.errorbar(cell.mean, row, xerr=bar, fmt="o", color=COLOURS[new], markersize=4, capsize=2, linewidth=1)
    ax.set_xlim(left, right)
