"""Figures of partial backfill: Fig. 3 with our numbers, and the share of the gain reached by each order."""

from matplotlib.figure import Figure

from bctlib.base.style import COLOURS
from companion.curves import (
    IMAGES,
    LARGEST,
    LEAST_CERTAIN,
    LONG_TAILED,
    LOOSE,
    RANDOM_ORDERS,
    SEARCHED_BY_SIZE,
    STANDARD,
    STRICT,
    TWO_THRESHOLDS,
)
from companion.figures.drawing import drawn
from companion.tables.cells import View
from companion.tables.shown.backfill import ORDER_NAMES, RULES, Cells, load_curve, own_accuracy

ORDER_COLOURS = {"random": COLOURS["new*"], LARGEST: COLOURS["new-l2"], LEAST_CERTAIN: COLOURS["new-bct"]}
PANELS = {STRICT: "TPIR@FPIR=1e-2 (%)", LOOSE: "TPIR@FPIR=1e-1 (%)"}


def plot_backfill(view: View) -> Figure:
    """Fig. 3: accuracy of new queries over the share of classes backfilled, at two operating points.

    Top: the two compatible models; bottom: the independent one, on another scale. Line: mean over random orders and
    seeds. Band: 95 % interval of the difference to the old model, paired by seed. Thin lines: single orders. Dotted: a
    threshold for each model's templates. Cross, dashed: the old model with its own gallery; diamonds: each new model
    with its own gallery.
    """
    cells = view.cells("fig3")
    with drawn(
        view.scale, "fig3_backfill", height=4.6, nrows=2, ncols=2, sharex=True, height_ratios=(3, 2)
    ) as (figure, axes):  # fmt: skip
        for column, (metric, label) in enumerate(PANELS.items()):
            _accuracy(axes[0, column], view, cells, ("new-bct", "new-bct-sys"), metric)
            _accuracy(axes[1, column], view, cells, ("new*", "new-bct-sys"), metric)
            axes[0, column].set(ylabel=label)
            axes[1, column].set(ylabel=label, xlabel="classes backfilled (%)")
        axes[0, 0].plot([], [], color="black", linestyle=":", linewidth=1.4, label="… with a threshold per model")
        axes[0, 0].plot([], [], "D", color="0.4", markersize=5, label="new model, new gallery")
        named = [axes[row, 0].get_legend_handles_labels() for row in (1, 0)]
        handles = {label: handle for each in named for handle, label in zip(*each, strict=True)}
        figure.legend(handles.values(), handles.keys(), loc="outside lower center", ncols=3)
    return figure


def _accuracy(ax, view: View, cells: Cells, queries: tuple[str, ...], metric: str) -> None:
    old, paragon = (own_accuracy(cells, model, STANDARD, metric) for model in ("old", "new*"))
    ax.axhline(old.mean, color="0.4", linestyle="--", linewidth=0.8)
    for query in queries:
        if (curve := load_curve(cells, query, STANDARD, RANDOM_ORDERS, metric)) is None:
            continue
        colour, mean, half = COLOURS[query], curve.mean, curve.less(old).half_width
        ax.fill_between(curve.per_cent, mean - half, mean + half, color=colour, alpha=0.18, linewidth=0)
        for order in RANDOM_ORDERS:
            single = load_curve(cells, query, STANDARD, (order,), metric)
            ax.plot(single.per_cent, single.mean, color=colour, linewidth=0.4, alpha=0.8)
        ax.plot(curve.per_cent, mean, color=colour, linewidth=1.4, label=f"queries by {view.name(query)}")
        apart = load_curve(cells, query, STANDARD, RANDOM_ORDERS, TWO_THRESHOLDS) if metric == STRICT else None
        if apart:
            ax.plot(apart.per_cent, apart.mean, color=colour, linestyle=":", linewidth=1.4)
        ax.plot(100, mean[-1], "D", color=colour, markersize=5, clip_on=False, zorder=3)
    if "new*" not in queries:
        ax.plot(100, paragon.mean, "D", color=COLOURS["new*"], markersize=5, clip_on=False, zorder=3)
    ax.plot(0, old.mean, "x", color="black", markersize=6, markeredgewidth=1.6, clip_on=False, zorder=3,
            label="old model, old gallery")  # fmt: skip
    ax.set(xlim=(0, 100))


def plot_orders(view: View, query: str = "new-bct-sys") -> Figure:
    """Share of the gain in TPIR@FPIR=1e-2 over the share of classes or images embedded again, for each order.

    Top: one threshold for the mixed gallery; bottom: one for each model's templates. Line: mean over seeds, for the
    random order over three orders as well, with its 95 % interval as a band; grey: gain in proportion.
    """
    standard, tailed = view.cells("fig3"), view.cells("backfill_orders")
    panels = (
        ("classes of about one size", standard, STANDARD, False),
        ("long-tailed", tailed, LONG_TAILED, True),
        ("long-tailed, searched by size", tailed, SEARCHED_BY_SIZE, True),
    )
    with drawn(view.scale, "fig3_orders", height=4.2, nrows=2, ncols=3, sharex=True, sharey=True) as (figure, axes):
        for row, (metric, rule) in zip(axes, RULES.items(), strict=True):
            row[0].set_ylabel(f"share of the gain (%)\n{rule}")
            for ax, (_, cells, galleries, by_images) in zip(row, panels, strict=True):
                ax.plot([0, 100], [0, 100], color="0.7", linewidth=0.8)
                for name, members in ORDER_NAMES.items():
                    _shares(ax, cells, query, galleries, (name, members), metric, by_images)
        for column, (title, *_, by_images) in zip(axes.T, panels, strict=True):
            column[0].set(title=title, xlim=(0, 100))
            column[1].set(xlabel=f"{'images' if by_images else 'classes'} backfilled (%)")
        handles, labels = axes[0, 1].get_legend_handles_labels()
        queries = f"queries by {view.name(query)}"
        figure.legend(handles, labels, loc="outside lower center", ncols=3, title=queries)
    return figure


def _shares(ax, cells: Cells, query: str, galleries: str, order: tuple, metric: str, by_images: bool) -> None:
    name, members = order
    curve = load_curve(cells, query, galleries, members, metric)
    shares = curve and curve.gain_shares()
    if not shares:
        return
    images = load_curve(cells, query, galleries, members, IMAGES) if by_images else None
    cost = images.on(shares.per_cent).mean(axis=0) if images else shares.per_cent
    colour, half = ORDER_COLOURS[name], shares.half_width
    ax.plot(cost, shares.mean, color=colour, linewidth=1.2, label=f"{name} order" if name == "random" else name)
    ax.fill_between(cost, shares.mean - half, shares.mean + half, color=colour, alpha=0.15, linewidth=0)
