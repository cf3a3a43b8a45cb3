"""Figure of Tables 3 and 7: what each change of network, dimension, head or share gains over its own old model."""

import math
from collections.abc import Mapping

import matplotlib.pyplot as plt
from matplotlib.figure import Figure

from companion.pairs import ROBUSTNESS_PAIRS, SHARE_PAIRS, Pair
from companion.tables.cells import HEADLINE, PROTOCOLS, Cell, measured, pair_text, power
from companion.tables.paper_numbers import paper_value
from bctlib.base.style import COLOURS, STYLE, new_figure, save_figure
from bctlib.models import with_lambda

CROSS_PAIRS: tuple[Pair, ...] = tuple(pair for pair in ROBUSTNESS_PAIRS + SHARE_PAIRS if pair[0] != pair[1])
EDGE = (-16.0, 14.0)
"""Points of accuracy that the axis shows; what lies beyond is an arrow at the edge with its value."""


def plot_robustness(scale: str, device: str | None = None, lam: float = 1.0) -> Figure:
    """Absolute gain of (new, old) over (old, old), the old model being each row's own: right of zero Eq. 2 holds.

    Ours: mean over seeds with the 95 % interval of the difference, paired by seed. Rings: the paper's.
    """
    cells = measured("table7", scale, device)
    with plt.rc_context(STYLE):
        figure, axes = new_figure(height=3.3, ncols=2, sharey=True)
        for ax, (protocol, (short, metric)) in zip(axes, PROTOCOLS.items(), strict=True):
            at = (protocol, metric, HEADLINE[metric])
            _panel(ax, cells, at, lam)
            ax.set(title=short, xlabel=f"gain in {metric}={power(HEADLINE[metric])} (points)")
        axes[0].set_yticks(range(len(CROSS_PAIRS)), [pair_text(pair) for pair in CROSS_PAIRS])
        axes[0].invert_yaxis()
        axes[0].plot([], [], "o", color=COLOURS["new-bct"], markersize=4, label=f"ours, {scale} scale")
        axes[0].plot([], [], "D", color="0.3", markersize=4, markerfacecolor="none", label="the paper")
        figure.legend(loc="outside lower center", ncols=2)
    return save_figure(figure, scale, "table3_robustness")


def _panel(ax, cells: Mapping[tuple[str, ...], Cell], at: tuple[str, str, str], lam: float) -> None:
    ax.axvline(0, color="0.4", linestyle="--", linewidth=1)
    for row, (query, gallery) in enumerate(CROSS_PAIRS):
        new = cells.get((with_lambda(query, lam), gallery, *at))
        if new is not None:
            _mark(ax, row - 0.2, new.minus(cells[gallery, gallery, *at]), "o", COLOURS["new-bct"])
        printed = [paper_value("table7", *pair, *at) for pair in ((query, gallery), (gallery, gallery))]
        if None not in printed:
            _mark(ax, row + 0.2, Cell(printed[0] - printed[1], math.nan, ()), "D", "0.3")
    ax.set(xlim=EDGE)


def _mark(ax, row: float, gain: Cell, marker: str, colour) -> None:
    face = colour if marker == "o" else "none"
    if gain.mean < EDGE[0]:
        ax.plot(EDGE[0], row, marker="<", color=colour, markerfacecolor=face, markersize=4, clip_on=False)
        ax.annotate(f"{gain.mean:.0f}", (EDGE[0], row), xytext=(5, -2.5), textcoords="offset points", fontsize=6)
        return
    bar = None if math.isnan(gain.half_width) else gain.half_width
    ax.errorbar(
        gain.mean, row, xerr=bar, fmt=marker, color=colour, markerfacecolor=face, markersize=4, capsize=2, linewidth=1
    )
