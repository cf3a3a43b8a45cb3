"""Figure of the update gain against the operating point."""

import math

from matplotlib.figure import Figure

from companion.figures.drawing import drawn
from companion.figures.model_colours import colour_of
from companion.tables.cells import PROTOCOLS, View, power
from companion.tables.shown.gains import BOUND, gain, paper_gain, points


def plot_update_gains(view: View) -> Figure:
    """Update gain (Eq. 9) of the models bound by BCT, from loose to strict operating points, one panel per protocol.

    Filled and solid: ours, of the means over seeds, with 95 % intervals. Open and dashed: the paper's. Below
    zero Eq. 2 fails; at 100 % nothing is left for a backfill to bring. Models stand a little beside each other, so that
    their intervals do not overlap. Raises as `View.cells` does.
    """
    with drawn(view.scale, "update_gains", height=3.0, ncols=2, sharey=True) as (figure, axes):
        for ax, (protocol, (name, metric)) in zip(axes, PROTOCOLS.items(), strict=True):
            at = points(protocol)
            for place, query in enumerate(BOUND):
                colour, aside = colour_of(query), 0.09 * (place - (len(BOUND) - 1) / 2)
                ours = {x: cell for x, point in enumerate(at) if (cell := gain(query, protocol, point, view))}
                paper = [paper_gain(query, protocol, point) for point in at]
                paper = [math.nan if value is None else value for value in paper]
                label = view.name(query) if ax is axes[0] else None
                means, bars = ([getattr(cell, name) for cell in ours.values()] for name in ("mean", "half_width"))
                beside = [x + aside for x in ours]
                ax.errorbar(beside, means, bars, fmt="o-", color=colour, capsize=2, elinewidth=0.8, label=label)
                ax.plot([x + aside for x in range(len(at))], paper, "o--", color=colour, markerfacecolor="none")
            ax.axhline(0, color="0.4", linestyle="--", linewidth=1)
            ax.axhline(100, color="0.4", linewidth=0.5)
            ax.set_xticks(range(len(at)), map(power, at))
            ax.set(title=name, xlabel=f"{metric.partition('@')[2]}, loose to strict", ylim=(-120, 140))
        axes[0].set_ylabel("update gain (%)")
        axes[0].plot([], [], "o--", color="0.3", markerfacecolor="none", label="the paper")
        figure.legend(loc="outside lower center", ncols=4)
    return figure
