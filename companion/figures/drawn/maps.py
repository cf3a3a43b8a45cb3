"""Figure of mapped queries: the difference to the old model, map by map, for each new model."""

from matplotlib.figure import Figure

from companion.figures.drawing import draw_beyond, draw_interval, drawn
from companion.figures.model_colours import colour_of
from companion.measure.mapped.every_map import MAPS
from companion.pairs import MAP_PAIRS
from companion.tables.cells import View
from companion.tables.shown.maps import NONE, POINTS, TABLE, accuracy, old_accuracy

_LEFT = -12.0


def plot_maps(view: View) -> Figure:
    """A row per map, a colour per new model: accuracy less that of (old, old), in points, at each of POINTS.

    Bars are 95 % intervals over seeds of the difference, paired by seed. Right of the dashed line Eq. 2 holds. What
    lies far to the left is an arrow with its value. Raises as `View.cells` does.
    """
    cells, kinds = view.cells(TABLE), (NONE, *MAPS)
    with drawn(view.scale, "maps", height=3.4, ncols=len(POINTS), sharey=True) as (figure, axes):
        for ax, point in zip(axes, POINTS, strict=True):
            old = old_accuracy(cells, point)
            ax.axvline(0, color="0.4", linestyle="--", linewidth=1)
            for place, pair in enumerate(MAP_PAIRS[1:]):
                for row, kind in enumerate(kinds):
                    cell = accuracy(cells, pair, point, kind)
                    if cell is None:
                        continue
                    over, at = cell.minus(old), row + 0.18 * (place - 1.5)
                    half = None if over.half_width != over.half_width else over.half_width
                    if over.mean < _LEFT:
                        draw_beyond(ax, _LEFT, at, f"{over.mean:.0f}", colour_of(pair[0]), fontsize=5)
                    else:
                        draw_interval(ax, at, over.mean, half, colour_of(pair[0]), size=3)
            ax.set(title=point, xlabel="points above (old, old)", xlim=(_LEFT, 12))
        axes[0].set_yticks(range(len(kinds)), kinds)
        axes[0].invert_yaxis()
        for pair in MAP_PAIRS[1:]:
            axes[0].plot([], [], "o", color=colour_of(pair[0]), markersize=3, label=view.name(pair[0]))
        figure.legend(loc="outside lower center", ncols=len(MAP_PAIRS) - 1)
    return figure
