"""Figures of Tables 1 and 2: cross accuracy of every method, and own against cross accuracy over lambda."""

import math

import matplotlib.pyplot as plt
from matplotlib.figure import Figure

from bctlib.experiments.table_list import BASELINE_PAIRS, LAMBDAS, LOWER_BOUND, PARAGON, TRADEOFF_MODELS
from bctlib.reporting.paper_numbers import paper_value
from bctlib.reporting.style import COLOURS, MARKERS, STYLE, new_figure, save_figure
from bctlib.reporting.tables import HEADLINE, PROTOCOLS, Cell, measured
from bctlib.training.model_list import with_lambda


def _bar(cell: Cell) -> float:
    return 0.0 if math.isnan(cell.half_width) else cell.half_width


def plot_baselines(scale: str, device: str | None = None, lam: float = 1.0) -> Figure:
    """Accuracy of each query model against the old gallery: ours (filled, 95 % interval over seeds) and the paper's.

    The lines are the old model's own accuracy, which Eq. 2 asks to beat, and the paragon's with everything backfilled.
    """
    cells = measured("table1", scale, device)
    queries = [query for query, gallery in BASELINE_PAIRS if gallery == "old" and query != "old"]
    with plt.rc_context(STYLE):
        figure, axes = new_figure(height=2.7, ncols=2, sharey=True)
        for ax, (protocol, (short, metric)) in zip(axes, PROTOCOLS.items(), strict=True):
            point = HEADLINE[metric]
            for pair, text in ((LOWER_BOUND, "old model, old gallery"), (PARAGON, "paragon: all backfilled")):
                value = cells[(*pair, protocol, metric, point)].mean
                ax.axvline(value, color=COLOURS[pair[0]], linestyle="--" if pair == LOWER_BOUND else "-", linewidth=1)
                ax.annotate(
                    text, (value, -0.62), rotation=0, fontsize=6, color=COLOURS[pair[0]], annotation_clip=False,
                    ha="right" if pair == LOWER_BOUND else "left", xytext=(-2 if pair == LOWER_BOUND else 2, 0),
                    textcoords="offset points",
                )  # fmt: skip
            for row, query in enumerate(queries):
                cell = cells[(with_lambda(query, lam), "old", protocol, metric, point)]
                ax.errorbar(cell.mean, row, xerr=_bar(cell), fmt="o", color=COLOURS[query], markersize=5, capsize=2)
                printed = paper_value("table1", query, "old", protocol, metric, point)
                ax.plot(printed, row + 0.22, marker="D", markerfacecolor="none", color="0.55", markersize=3.5)
            ax.set(xlim=(-3, 103), xlabel=f"{metric}={point} (%), query model against old gallery", title=short)
            ax.set_yticks(range(len(queries)), queries)
        axes[0].invert_yaxis()
        axes[0].plot([], [], "o", color="0.3", markersize=5, label=f"ours, {scale} scale, 95 % interval over seeds")
        axes[0].plot([], [], "D", markerfacecolor="none", color="0.55", markersize=3.5, label="paper (IJB-C faces)")
        figure.legend(loc="outside lower center", ncols=2)
    return save_figure(figure, scale, "table1_baselines")


def plot_tradeoff(scale: str, device: str | None = None, metric: str = "TAR@FAR") -> Figure:
    """Own accuracy (x) against cross accuracy (y) of l2 and BCT, each a curve over lambda; means over seeds.

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
            names = [name for name in TRADEOFF_MODELS if name.partition("@")[0] == method]
            own, cross = ([cells[(n, g or n, protocol, metric, point)] for n in names] for g in ("", "old"))
            ax.errorbar(
                [c.mean for c in own], [c.mean for c in cross], [_bar(c) for c in cross], [_bar(c) for c in own],
                color=COLOURS[method], marker=MARKERS[method], markersize=4, linewidth=1, elinewidth=0.6, label=method,
            )  # fmt: skip
            for lam, x, y in zip(LAMBDAS, own, cross, strict=True):
                ax.annotate(f"λ={lam}", (x.mean, y.mean), xytext=(4, 4), textcoords="offset points", fontsize=6)
            chosen = choose_on_validation(names, cells, protocol, metric, point)
            best = names.index(chosen)
            ax.plot(
                own[best].mean, cross[best].mean, "o", markersize=10, markerfacecolor="none", color=COLOURS[method]
            )
        ax.set(xlabel=f"own accuracy, {metric}={point} (%)", ylabel=f"cross accuracy (new, old), {metric}={point} (%)")
        ax.legend()
    return save_figure(figure, scale, "tradeoff_own_cross")


def choose_on_validation(names: list[str], cells: dict, protocol: str, metric: str, point: str) -> str:
    """The model with the highest sum of own and cross accuracy on validation identities."""
    where = (f"{protocol} (validation)", metric, point)
    return max(names, key=lambda name: cells[(name, name, *where)].mean + cells[(name, "old", *where)].mean)
