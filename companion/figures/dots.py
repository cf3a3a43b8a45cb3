"""Figures of Tables 1 and 2: cross accuracy of every method, and own against cross accuracy over lambda."""

import math

import matplotlib.pyplot as plt
from matplotlib.figure import Figure

from companion.pairs import BASELINE_PAIRS, LOWER_BOUND, PARAGON, Pair
from companion.experiments import TRADEOFF_MODELS
from companion.tables.cells import HEADLINE, PROTOCOLS, Cell, measured, not_measured, power
from companion.figures.model_colours import colour_of
from companion.tables.paper_numbers import paper_value
from bctlib.base.style import COLOURS, MARKERS, STYLE, new_figure, save_figure
from bctlib.models import find_model, with_lambda


def _bar(cell: Cell) -> float:
    return 0.0 if math.isnan(cell.half_width) else cell.half_width


def plot_baselines(scale: str, device: str | None = None, lam: float = 1.0) -> Figure:
    """Accuracy of each query model against the old gallery: ours above, the paper's below.

    Bars are the 95 % interval over seeds of the difference to the old model, paired by seed. The dashed line is the
    old model's own accuracy, which Eq. 2 asks to beat, the solid one the paragon's, with all backfilled. What lies
    far to the left is drawn as an arrow at the edge with its value. A method whose training diverged has no
    row; of one that the paper does not have the row below stays empty. Raises BctError where nothing was measured at
    this lambda.
    """
    cells = measured("table1", scale, device)
    queries = [query for query, gallery in BASELINE_PAIRS if gallery == "old" and query != "old"]
    queries = [query for query in queries if any((with_lambda(query, lam), "old") == key[:2] for key in cells)]
    if not any(find_model(query).old for query in queries):
        raise not_measured("table1", lam)
    with plt.rc_context(STYLE):
        figure, axes = new_figure(height=3.6 + 0.3 * max(0, len(queries) - 6), nrows=2, ncols=2, sharey=True)
        for column, (protocol, (short, metric)) in enumerate(PROTOCOLS.items()):
            where = (protocol, metric, HEADLINE[metric])
            ours = {pair: cells.get((with_lambda(pair[0], lam), pair[1], *where)) for pair in BASELINE_PAIRS}
            values = {pair: paper_value("table1", *pair, *where) for pair in BASELINE_PAIRS}
            paper = {pair: Cell(value, math.nan, ()) for pair, value in values.items() if value is not None}
            _dots(axes[0, column], ours, queries)
            _dots(axes[1, column], paper, queries)
            axes[0, column].set_title(f"{short}, ours: glyph identities, {scale} scale")
            axes[1, column].set(title=f"{short}, the paper: faces", xlabel=f"{metric}={power(HEADLINE[metric])} (%)")
        axes[0, 0].invert_yaxis()
        axes[0, 0].plot([], [], color="0.4", linestyle="--", linewidth=1, label="old model on its own gallery (Eq. 2)")
        axes[0, 0].plot([], [], color=COLOURS["new*"], linewidth=1, label="paragon: gallery backfilled")
        figure.legend(loc="outside lower center", ncols=2)
    return save_figure(figure, scale, "table1_baselines")


def _dots(ax, cells: dict[Pair, Cell], queries: list[str]) -> None:
    """One row per query model against the old gallery, between the lower bound and the paragon."""
    old, paragon = cells[LOWER_BOUND].mean, cells[PARAGON].mean
    left, right = max(-2.0, old - 1.2 * (paragon - old)), paragon + 0.3 * (paragon - old)
    ax.axvline(old, color="0.4", linestyle="--", linewidth=1)
    ax.axvline(paragon, color=COLOURS["new*"], linewidth=1)
    for row, query in enumerate(queries):
        cell, colour = cells.get((query, "old")), colour_of(query)
        if cell is None:
            continue
        if cell.mean < left:
            ax.plot(left, row, marker="<", color=colour, markersize=5, clip_on=False)
            ax.annotate(f"{cell.mean:.1f}", (left, row), xytext=(6, -2.5), textcoords="offset points", fontsize=7)
        else:
            bar = _bar(cell.minus(cells[LOWER_BOUND])) if cell.values else 0
            ax.errorbar(cell.mean, row, xerr=bar, fmt="o", color=colour, markersize=4, capsize=2, linewidth=1)
    ax.set(xlim=(left, right))
    ax.set_yticks(range(len(queries)), queries)


def plot_tradeoff(scale: str, device: str | None = None, metric: str = "TAR@FAR") -> Figure:
    """Own accuracy (x) against cross accuracy (y) of l2 and BCT, each a curve over lambda; dots are single seeds.

    Ringed: the lambda with the highest sum of the two on validation identities. Above the dashed line Eq. 2 holds;
    right of the solid line the new model has lost nothing against the paragon.
    """
    protocol = next(name for name, (_, each) in PROTOCOLS.items() if each == metric)
    point, cells = HEADLINE[metric], measured("tradeoff", scale, device)
    with plt.rc_context(STYLE):
        figure, ax = new_figure(width=4.2, height=3.1)
        old = cells[(*LOWER_BOUND, protocol, metric, point)].mean
        paragon = cells[(*PARAGON, protocol, metric, point)].mean
        ax.axhline(old, color=COLOURS["old"], linestyle="--", linewidth=1, label="old model, old gallery (Eq. 2)")
        ax.axvline(paragon, color=COLOURS["new*"], linewidth=1, label="paragon's own accuracy")
        for method in ("new-l2", "new-bct"):
            _curve(ax, method, cells, (protocol, metric, point))
        at = f"{metric}={power(point)} (%)"
        ax.set(xlabel=f"own accuracy, {at}", ylabel=f"cross accuracy (new, old), {at}")
        ax.legend()
    return save_figure(figure, scale, "tradeoff_own_cross")


def _curve(ax, method: str, cells: dict, where: tuple[str, str, str]) -> None:
    """One method over lambda: means as a line, single seeds as dots; where training diverged there is no point."""
    names = [name for name in TRADEOFF_MODELS if name.partition("@")[0] == method and (name, "old", *where) in cells]
    own, cross = ([cells[(name, gallery or name, *where)] for name in names] for gallery in ("", "old"))
    colour = COLOURS[method]
    means = [[cell.mean for cell in side] for side in (own, cross)]
    ax.plot(*means, color=colour, marker=MARKERS[method], markersize=4, linewidth=1, label=method)
    chosen = choose_on_validation(names, cells, *where)
    for name, x, y in zip(names, own, cross, strict=True):
        ax.plot(x.values, y.values, ".", color=colour, markersize=2)
        lam = name.partition("@")[2] or "1"
        ax.annotate(f"λ={lam}", (x.mean, y.mean), xytext=(4, 4), textcoords="offset points", fontsize=6)
        if name == chosen:
            ax.plot(x.mean, y.mean, "o", markersize=11, markerfacecolor="none", color=colour)


def choose_on_validation(names: list[str], cells: dict, protocol: str, metric: str, point: str) -> str:
    """The model with the highest sum of own and cross accuracy on validation identities."""
    where = (f"{protocol} (validation)", metric, point)
    return max(names, key=lambda name: cells[(name, name, *where)].mean + cells[(name, "old", *where)].mean)
