"""Figure of the diagnostics: directions that models use, and the energy of queries in the old span."""

from matplotlib.figure import Figure

from companion.figures.drawing import draw_interval, drawn
from companion.figures.model_colours import colour_of
from companion.tables.cells import View
from companion.tables.shown.diagnostics import COLUMNS, diagnostics_cells

EMBEDDINGS, HEADS, ENERGY, *_ = COLUMNS


def plot_diagnostics(view: View) -> Figure:
    """A row per model: participation ratios of embeddings (filled) and head rows (open); energy in the old span.

    Bars are 95 % intervals over seeds. Raises BctError if nothing was measured at this lambda.
    """
    found = diagnostics_cells(view)
    with drawn(view.scale, "diagnostics", height=1.0 + 0.16 * len(found), ncols=2, sharey=True) as (figure, axes):
        for row, (name, cells) in enumerate(found.items()):
            for ax, column, filled in ((axes[0], EMBEDDINGS, True), (axes[0], HEADS, False), (axes[1], ENERGY, True)):
                if cell := cells.get(column):
                    half = None if cell.half_width != cell.half_width else cell.half_width
                    draw_interval(ax, row, cell.mean, half, colour_of(name), filled=filled)
        axes[0].set_yticks(range(len(found)), map(view.name, found))
        axes[0].invert_yaxis()
        axes[0].set_xlabel("participation ratio: embeddings (filled), head rows (open)")
        axes[1].set_xlabel("energy of embeddings in the old head's span (%)")
    return figure
