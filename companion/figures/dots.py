"""Figures of dots with intervals: Tables 1 and 2, the lambda trade-off, Table 5, Tables 3 and 7, and old classes.

Those of the paper's tables show one row per model or pair, ours next to the paper's.
"""

import math
from collections.abc import Mapping

from matplotlib.figure import Figure

from bctlib.base.style import COLOURS, MARKERS
from companion.figures.drawing import (
    OLD_LINE,
    PARAGON_LINE,
    draw_beyond,
    draw_bounds,
    draw_interval,
    drawn,
    label_bounds,
)
from companion.figures.model_colours import colour_of
from companion.measure.reid import PROTOCOL
from companion.pairs import (
    BASELINE_PAIRS,
    LOWER_BOUND,
    PARAGON,
    REID_PAIRS,
    ROBUSTNESS_PAIRS,
    SHARE_PAIRS,
    TRADEOFF_MODELS,
    Pair,
)
from companion.tables.cells import HEADLINE, PROTOCOLS, Cell, View, pair_text, paper_value, power
from companion.tables.shown.old_classes import FORMS, KINDS, Gain, parts, series
from companion.tables.shown.reid import TABLE, reid_cells


def _bar(cell: Cell, lower: Cell) -> float:
    """Half of the interval of the difference to `lower`, paired by seed; 0 for one seed or a printed number."""
    half = cell.minus(lower).half_width if cell.values else math.nan
    return 0.0 if math.isnan(half) else half


def plot_baselines(view: View) -> Figure:
    """Accuracy of each query model against the old gallery: ours above, the paper's below.

    Bars are the 95 % interval over seeds of the difference to the old model, paired by seed. The dashed line is the old
    model's own accuracy, which Eq. 2 asks to exceed; the solid line is the paragon's, with the whole gallery
    backfilled. A value far to the left is drawn as an arrow at the edge with the number. A method whose training
    diverged has no row; a method that is not in the paper has an empty row in the lower panels. Raises BctError if
    nothing was measured at this lambda.
    """
    cells = view.cells("table1")
    queries = [query for query, gallery in BASELINE_PAIRS if gallery == "old" and query != "old"]
    queries = [query for query in queries if any((query, "old") == key[:2] for key in cells)]
    with drawn(
        view.scale, "table1_baselines", height=3.6 + 0.3 * max(0, len(queries) - 6), nrows=2, ncols=2, sharey=True
    ) as (figure, axes):
        for column, (protocol, (short, metric)) in enumerate(PROTOCOLS.items()):
            where = (protocol, metric, HEADLINE[metric])
            ours = {pair: cells.get((*pair, *where)) for pair in BASELINE_PAIRS}
            values = {pair: paper_value("table1", *pair, *where) for pair in BASELINE_PAIRS}
            paper = {pair: Cell(value, math.nan, ()) for pair, value in values.items() if value is not None}
            _dots(axes[0, column], ours, queries)
            _dots(axes[1, column], paper, queries)
            axes[0, column].set_title(f"{short}, ours: glyph identities, {view.scale} scale")
            axes[1, column].set(title=f"{short}, the paper: faces", xlabel=f"{metric}={power(HEADLINE[metric])} (%)")
        axes[0, 0].invert_yaxis()
        label_bounds(axes[0, 0], "old model on its own gallery (Eq. 2)", "paragon: gallery backfilled")
        bar = "bars: 95 % interval of the difference to the old model"
        axes[0, 0].plot([], [], color="0.3", marker="|", markersize=5, linewidth=1, label=bar)
        figure.legend(loc="outside lower center", ncols=3)
    return figure


def _dots(ax, cells: dict[Pair, Cell], queries: list[str]) -> None:
    """One row per query model against the old gallery, between the lower bound and the paragon."""
    old, paragon = cells[LOWER_BOUND].mean, cells[PARAGON].mean
    left, right = max(-2.0, old - 1.2 * (paragon - old)), paragon + 0.3 * (paragon - old)
    draw_bounds(ax, old, paragon)
    for row, query in enumerate(queries):
        cell, colour = cells.get((query, "old")), colour_of(query)
        if cell is None:
            continue
        if cell.mean < left:
            draw_beyond(ax, left, row, f"{cell.mean:.1f}", colour)
        else:
            draw_interval(ax, row, cell.mean, _bar(cell, cells[LOWER_BOUND]), colour)
    ax.set(xlim=(left, right))
    ax.set_yticks(range(len(queries)), queries)


def plot_tradeoff(view: View) -> Figure:
    """A panel per protocol: own accuracy (x) against cross accuracy (y) of l2 and BCT, each a curve over lambda.

    From three seeds on, bars: 95 % intervals of the difference to the line that decides, paired by seed: to (old, old)
    upright, to the paragon across. Small dots: those differences of single seeds. Ringed: the lambda with the highest
    sum of the two on validation identities. Eq. 2 holds above the dashed line; to the right of the solid line the new
    model is at least as accurate as the paragon.
    """
    cells = view.cells("tradeoff")
    with drawn(view.scale, "tradeoff_own_cross", width=6.6, height=3.4, ncols=2) as (figure, axes):
        for ax, (protocol, (name, metric)) in zip(axes, PROTOCOLS.items(), strict=True):
            point = HEADLINE[metric]
            old, paragon = (cells[(*pair, protocol, metric, point)] for pair in (LOWER_BOUND, PARAGON))
            ax.axhline(old.mean, **OLD_LINE)
            ax.axvline(paragon.mean, **PARAGON_LINE)
            for method in ("new-l2", "new-bct"):
                _curve(ax, method, cells, (protocol, metric, point))
            at = f"{name} {metric}={power(point)} (%)"
            ax.set(xlabel=f"own accuracy, {at}", ylabel=f"(new, old), {at}")
            ax.margins(x=0.15)
        label_bounds(axes[0], "old model, old gallery (Eq. 2)", "paragon's own accuracy")
        figure.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=4)
    return figure


def _curve(ax, method: str, cells: dict, where: tuple[str, str, str]) -> None:
    """One method over lambda: means as a line with intervals; no point if training diverged."""
    names = [name for name in TRADEOFF_MODELS if name.partition("@")[0] == method and (name, "old", *where) in cells]
    own, cross = ([cells[(name, gallery or name, *where)] for name in names] for gallery in ("", "old"))
    colour = COLOURS[method]
    means = [[cell.mean for cell in side] for side in (own, cross)]
    bounds = [cells[(*pair, *where)] for pair in (PARAGON, LOWER_BOUND)]
    bars = [None, None]
    if min((len(cell.seeds) for cell in (*own, *cross)), default=0) >= 3:
        bars = [[_bar(cell, bound) for cell in side] for side, bound in zip((own, cross), bounds, strict=True)]
    style = {"marker": MARKERS[method], "markersize": 4, "linewidth": 1, "elinewidth": 0.7, "capsize": 1.5}
    ax.errorbar(*means, yerr=bars[1], xerr=bars[0], color=colour, label=method, **style)
    for pair in zip(own, cross, strict=True):
        seeds = [
            [bound.mean + value for value in cell.minus(bound).values] for cell, bound in zip(pair, bounds, strict=True)
        ]
        if len(seeds[0]) > 1:
            ax.plot(*seeds, ".", color=colour, markersize=2.5, alpha=0.6)
    chosen = choose_on_validation(names, cells, *where)
    offset, side = ((-5, 4), "right") if method == "new-l2" else ((5, -8), "left")  # the curves cross
    for name, x, y in zip(names, own, cross, strict=True):
        text = f"λ={name.partition('@')[2] or '1'}"
        ax.annotate(text, (x.mean, y.mean), offset, textcoords="offset points", ha=side, fontsize=6, color=colour)
        if name == chosen:
            ax.plot(x.mean, y.mean, "o", markersize=11, markerfacecolor="none", color=colour)


def choose_on_validation(names: list[str], cells: dict, protocol: str, metric: str, point: str) -> str:
    """The model with the highest sum of own and cross accuracy on validation identities."""
    where = (f"{protocol} (validation)", metric, point)
    return max(names, key=lambda name: cells[(name, name, *where)].mean + cells[(name, "old", *where)].mean)


ROWS: tuple[Pair, ...] = tuple(pair for pair in REID_PAIRS if pair not in (LOWER_BOUND, PARAGON))


def plot_reid(view: View) -> Figure:
    """mAP of each pair, ours on the left, the paper's on the right; the paper has only (old, new).

    Bars are the 95 % interval over seeds of the difference to (old, old), paired by seed. Dashed: (old, old), which
    Eq. 2 asks to exceed; solid: the paragon. A value far to the left is an arrow at the edge with the number.
    """
    cells = reid_cells(view)
    ours = {pair: cells[pair, "mAP", ""] for pair in REID_PAIRS if (pair, "mAP", "") in cells}
    values = {pair: paper_value(TABLE, *pair, PROTOCOL, "mAP") for pair in REID_PAIRS}
    paper = {pair: Cell(value, math.nan, ()) for pair, value in values.items() if value is not None}
    with drawn(view.scale, "table5_reid", height=2.1, ncols=2, sharey=True) as (figure, axes):
        for ax, here, title in (
            (axes[0], ours, f"ours: glyph identities, {view.scale} scale"),
            (axes[1], paper, "the paper: persons, Market-1501"),
        ):
            _reid_panel(ax, here)
            ax.set(title=title, xlabel="mAP (%)")
        axes[0].set_yticks(range(len(ROWS)), [pair_text(pair) for pair in ROWS])
        axes[0].set_ylim(len(ROWS) - 0.5, -0.5)
        label_bounds(axes[0], "(old, old), to be beaten (Eq. 2)", "(new*, new*), paragon")
        figure.legend(loc="outside lower center", ncols=2)
    return figure


def _reid_panel(ax, cells: dict[Pair, Cell]) -> None:
    """One row per pair between the lower bound and the paragon."""
    old, paragon = cells[LOWER_BOUND].mean, cells[PARAGON].mean
    span = max(paragon - old, 1.0)
    left, right = old - 0.6 * span, paragon + 0.25 * span
    draw_bounds(ax, old, paragon)
    for row, pair in enumerate(ROWS):
        cell = cells.get(pair)
        new = next(name for name in pair if name != LOWER_BOUND[0])
        if cell is None:
            ax.text((old + paragon) / 2, row, "not in the paper", ha="center", va="center", fontsize=7, color="0.4")
        elif cell.mean < left:
            draw_beyond(ax, left, row, f"{cell.mean:.1f}", COLOURS[new])
        else:
            bar = _bar(cell, cells[LOWER_BOUND])
            right = max(right, cell.mean + bar + 0.05 * span)
            draw_interval(ax, row, cell.mean, bar, COLOURS[new])
    ax.set_xlim(left, right)


CROSS_PAIRS: tuple[Pair, ...] = tuple(pair for pair in ROBUSTNESS_PAIRS + SHARE_PAIRS if pair[0] != pair[1])
EDGE = (-16.0, 14.0)
"""Range of the axis in points of accuracy; a value to the left of it is an arrow at the edge with the number."""


def plot_robustness(view: View) -> Figure:
    """Absolute gain of (new, old) over (old, old) for the old model of each row: Eq. 2 holds to the right of zero.

    Ours: mean over seeds with the 95 % interval of the difference, paired by seed. Diamonds: the paper's.
    """
    cells = view.cells("table7")
    with drawn(view.scale, "table3_robustness", height=3.3, ncols=2, sharey=True) as (figure, axes):
        for ax, (protocol, (short, metric)) in zip(axes, PROTOCOLS.items(), strict=True):
            at = (protocol, metric, HEADLINE[metric])
            _panel(ax, cells, at)
            ax.set(title=short, xlabel=f"gain in {metric}={power(HEADLINE[metric])} (points)")
        axes[0].set_yticks(range(len(CROSS_PAIRS)), [pair_text(pair) for pair in CROSS_PAIRS])
        axes[0].invert_yaxis()
        axes[0].plot([], [], "o", color=COLOURS["new-bct"], markersize=4, label=f"ours, {view.scale} scale")
        axes[0].plot([], [], "D", color="0.3", markersize=4, markerfacecolor="none", label="the paper")
        figure.legend(loc="outside lower center", ncols=2)
    return figure


def _panel(ax, cells: Mapping[tuple[str, ...], Cell], at: tuple[str, str, str]) -> None:
    ax.axvline(0, color="0.4", linestyle="--", linewidth=1)
    for row, (query, gallery) in enumerate(CROSS_PAIRS):
        new = cells.get((query, gallery, *at))
        if new is not None:
            _mark(ax, row - 0.2, new.minus(cells[gallery, gallery, *at]), "o", COLOURS["new-bct"])
        printed = [paper_value("table7", *pair, *at) for pair in ((query, gallery), (gallery, gallery))]
        if None not in printed:
            _mark(ax, row + 0.2, Cell(printed[0] - printed[1], math.nan, ()), "D", "0.3")
    ax.set(xlim=EDGE)


def _mark(ax, row: float, gain: Cell, marker: str, colour) -> None:
    filled = marker == "o"
    if gain.mean < EDGE[0]:
        draw_beyond(ax, EDGE[0], row, f"{gain.mean:.0f}", colour, fontsize=6, filled=filled)
    else:
        bar = None if math.isnan(gain.half_width) else gain.half_width
        draw_interval(ax, row, gain.mean, bar, colour, marker, filled=filled)


def plot_old_classes(view: View) -> Figure:
    """Update gain (Eq. 9) against the number of old classes, log axis, mean over seeds with its 95 % interval.

    Lines: old and new model on fewer identities. Open markers: all identities, but the influence loss takes the images
    of that many old classes only, against all rows of the old head or against these classes' rows. Eq. 2 holds above
    the dashed line. A model whose training diverged, or whose paragon does not beat the old model, has no point.
    """
    cells = view.cells("identities")
    with drawn(view.scale, "identities", height=2.9, ncols=2) as (figure, axes):
        for ax, (protocol, (short, metric)) in zip(axes, PROTOCOLS.items(), strict=True):
            curves = {form: series(cells, protocol, form) for form in FORMS}
            for form, curve in curves.items():
                _gains(ax, curve, form, color=COLOURS[form], marker="o")
            for (kind, rule), marker, shift in zip(KINDS.items(), "sv", (0.94, 1.06), strict=True):
                label = f"new-bct, all identities, images of some old classes, {rule}"
                _gains(ax, parts(cells, protocol, kind), label, shift, color="0.3", marker=marker, linestyle="none",
                       markerfacecolor="none")  # fmt: skip
            ax.axhline(0, color="0.4", linestyle="--", linewidth=1)
            counts = sorted({gain.classes for curve in curves.values() for gain in curve})
            ax.set(xscale="log", title=short, xlabel="old classes")
            ax.set_xticks(counts, [f"{count:,}" for count in counts])
            ax.set_xticks([], minor=True)
            ax.set_ylabel(f"update gain in {metric}={power(HEADLINE[metric])} (%)")
        figure.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=2)
    return figure


def _gains(ax, curve: list[Gain], label: str, shift: float = 1.0, **style) -> None:
    """shift: factor of x, so that intervals at the same number stand side by side."""
    curve = [gain for gain in curve if not math.isnan(gain.cell.mean)]
    halves = [0.0 if math.isnan(gain.cell.half_width) else gain.cell.half_width for gain in curve]
    ax.errorbar([shift * gain.classes for gain in curve], [gain.cell.mean for gain in curve], yerr=halves,
                label=label, markersize=4, capsize=2, linewidth=1, elinewidth=1, **style)  # fmt: skip
