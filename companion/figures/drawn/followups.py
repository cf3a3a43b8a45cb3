"""Own against cross accuracy of every method, with its curve over the weight where that was measured."""

from matplotlib.figure import Figure

from companion.figures.drawing import OLD_LINE, PARAGON_LINE, drawn
from companion.figures.model_colours import colour_of
from companion.pairs import FOLLOW_UP_WEIGHTS, LATER_METHODS, LOWER_BOUND, PARAGON
from companion.tables.cells import MeasuredCells, View
from companion.tables.shown.followups import POINTS, TABLE, WEIGHTS, measured
from companion.tables.tables import is_measured

MARKERS = "osD^vP*Xhp"
LOWEST = -15.0
"""Points below the old model's accuracy at which the figure ends: what lies further down is named at its edge."""


def plot_followups(view: View) -> Figure:
    """A panel per protocol: own accuracy less the paragon's (x) against cross accuracy less the old model's (y).

    Differences are paired by seed, in points; dots are means over seeds at the weight of the run. Eq. 2 holds above
    the dashed line; right of the solid line a model is at least as accurate as the paragon. Thin lines: other weights
    of the same method, of the seeds that have them; a triangle at the edge names what lies below `LOWEST`.
    """
    cells = view.cells(TABLE)
    swept = view.of(WEIGHTS).cells(WEIGHTS) if is_measured(WEIGHTS, view.scale) else {}
    with drawn(view.scale, "followups", width=6.6, height=3.8, ncols=2) as (figure, axes):
        for ax, (text, at) in zip(axes, POINTS.items(), strict=True):
            ax.axhline(0, **OLD_LINE)
            ax.axvline(0, **PARAGON_LINE)
            for place, name in enumerate(measured(cells)):
                x, y = _gains(cells, cells, name, at)
                style = {"marker": MARKERS[place % len(MARKERS)], "linestyle": "none", "markersize": 5}
                ax.plot(x, y, color=colour_of(name), label=name.removeprefix("new-"), **style)
            for name in LATER_METHODS:
                _draw_weights(ax, name, swept, cells, at)
            ax.set(
                xlabel=f"own accuracy less the paragon's, {text}", ylabel=f"cross accuracy less the old model's, {text}"
            )
        figure.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=5)
    return figure


def _gains(cells: MeasuredCells, bounds: MeasuredCells, name: str, at: tuple[str, str, str]) -> tuple[float, float]:
    own, cross = cells[name, name, *at], cells[name, "old", *at]
    return own.minus(bounds[*PARAGON, *at]).mean, cross.minus(bounds[*LOWER_BOUND, *at]).mean


def _draw_weights(ax, name: str, swept: MeasuredCells, bounds: MeasuredCells, at: tuple[str, str, str]) -> None:
    """A method's curve over its weight, as far as it was measured."""
    names = [each for each, gallery in FOLLOW_UP_WEIGHTS if gallery == "old" and (each, "old", *at) in swept]
    points = {each: _gains(swept, bounds, each, at) for each in names if each.partition("@")[0] == name}
    inside = [point for point in points.values() if point[1] >= LOWEST]
    ax.plot(
        *zip(*inside, strict=True) if inside else ([], []),
        color=colour_of(name),
        marker=".",
        markersize=3,
        linewidth=0.8,
    )
    for each, (x, y) in points.items():
        if y < LOWEST:
            ax.plot(x, 0, "v", transform=ax.get_xaxis_transform(), color=colour_of(name), markersize=4, clip_on=False)
            text = f"{each.removeprefix('new-').replace('@', ', weight ')}: −{-y:.0f}"
            ax.annotate(
                text, (x, 0), (-5, 3), ax.get_xaxis_transform(), textcoords="offset points", ha="right", fontsize=6
            )
