"""Figure of the practices while a gallery is backfilled."""

from matplotlib.figure import Figure

from companion.curves import STANDARD, STRICT
from companion.figures.drawing import drawn
from companion.figures.model_colours import colour_of
from companion.tables.cells import View
from companion.tables.shown.backfill import own_accuracy
from companion.tables.shown.merging import DUAL_WRITE, METRICS, TABLE, practice_curves

_LINES = ("-", "-", "-.", "-.", "--", ":")


def plot_practices(view: View) -> Figure:
    """Accuracy over the share of classes backfilled, a line per practice, mean over orders and seeds, at two FPIRs.

    Bands are 95 % intervals of the difference to the old model, paired by seed; steps in black: dual write, which the
    old model answers until its end. Raises as `View.cells` does.
    """
    with drawn(view.scale, "backfill_practices", height=3.2, ncols=len(METRICS)) as (figure, axes):
        for ax, (metric, name) in zip(axes, METRICS.items(), strict=True):
            curves = list(practice_curves(view, metric))
            old = own_accuracy(view.cells(TABLE), "old", STANDARD, metric)
            for line, (query, practice, curve) in zip(_LINES, curves, strict=False):
                label, mean, half = practice if metric == STRICT else None, curve.mean, curve.less(old).half_width
                ax.plot(curve.per_cent, mean, line, color=colour_of(query), label=label)
                ax.fill_between(curve.per_cent, mean - half, mean + half, color=colour_of(query), alpha=0.15, lw=0)
            _, _, dual = curves[-1]
            label = DUAL_WRITE if metric == STRICT else None
            ax.step(dual.per_cent, dual.mean, where="post", color="black", linewidth=0.9, label=label)
            ax.set(xlabel="classes backfilled (%)", ylabel=f"{name} (%)", xlim=(0, 100))
        figure.legend(loc="outside lower center", ncols=3)
    return figure
