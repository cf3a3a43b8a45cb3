"""Own against cross accuracy of every method, with its curve over the weight where that was measured."""

from matplotlib.figure import Figure

from companion.figures.drawing import OLD_LINE, PARAGON_LINE, drawn
from companion.figures.model_colours import colour_of
from companion.pairs import FOLLOW_UP_WEIGHTS, LATER_METHODS, LOWER_BOUND, PARAGON
from companion.tables.cells import View
from companion.tables.shown.followups import POINTS, TABLE, WEIGHTS, measured
from companion.tables.tables import is_measured


def plot_followups(view: View) -> Figure:
    """A panel per protocol: own accuracy (x) against cross accuracy in the old gallery (y), means over seeds.

    Eq. 2 holds above the dashed line; right of the solid line a model is at least as accurate as the paragon. Thin
    lines: other weights of the same method.
    """
    cells = view.cells(TABLE)
    swept = view.of(WEIGHTS).cells(WEIGHTS) if is_measured(WEIGHTS, view.scale) else {}
    with drawn(view.scale, "followups", width=6.6, height=3.2, ncols=2) as (figure, axes):
        for ax, (text, at) in zip(axes, POINTS.items(), strict=True):
            ax.axhline(cells[*LOWER_BOUND, *at].mean, **OLD_LINE)
            ax.axvline(cells[*PARAGON, *at].mean, **PARAGON_LINE)
            for name in measured(cells):
                x, y = cells[name, name, *at].mean, cells[name, "old", *at].mean
                ax.plot(x, y, "o", color=colour_of(name), markersize=5)
                ax.annotate(name.removeprefix("new-"), (x, y), xytext=(4, 3), textcoords="offset points", fontsize=7)
            for name in LATER_METHODS:
                same = [each for each, gallery in FOLLOW_UP_WEIGHTS if gallery == "old" and (each, "old", *at) in swept]
                same = [each for each in same if each.partition("@")[0] == name]
                curve = [[swept[each, gallery or each, *at].mean for each in same] for gallery in ("", "old")]
                ax.plot(*curve, color=colour_of(name), marker=".", markersize=3, linewidth=0.8)
            ax.set(xlabel=f"own accuracy, {text} (%)", ylabel=f"against the old gallery, {text} (%)")
    return figure
