"""Figure of the live upgrade: accuracy, storage and recall at every step."""

import numpy as np
from matplotlib.figure import Figure

from bctlib.base.style import COLOURS
from bctlib.upgrade.serve.steps import ALL_DIMENSIONS, STEPS
from companion.curves import APPROXIMATE, BYTES, FLAT, LOOSE, RANDOM, RECALL_10, STRICT, upgrade_name
from companion.figures.drawing import drawn
from companion.tables.cells import View
from companion.tables.shown.upgrade import Line, line, pairs, practices

_COLOURS = {"new*": COLOURS["new*"], "new-bct-sys": COLOURS["new-bct-sys"], "new-deep-256d": COLOURS["new-bct-kd"]}
_KIND_MARKS = {"ivf": ("s", "-"), "hnsw": ("^", "--")}
_SHOWN = tuple(step for step in STEPS if step != ALL_DIMENSIONS)


def plot_live_upgrade(view: View) -> Figure:
    """Top: TPIR of classes of day 0 at two operating points; bottom: bytes of all indexes in use, and recall@10.

    Line: mean over seeds, bars: its 95 % interval; dotted: a threshold for each model's vectors. Storage is that of
    flat indexes relative to day 0; recall is that of IVF and HNSW indexes relative to a flat one.
    """
    cells = view.cells("upgrade")
    with drawn(view.scale, "live_upgrade", height=4.8, nrows=2, ncols=2, sharex=True) as (figure, axes):
        for ax, metric, title in ((axes[0, 0], STRICT, "1e-2"), (axes[0, 1], LOOSE, "1e-1")):
            for name, of in practices(cells, metric, view).items():
                apart = "threshold per model" in name
                _draw(ax, of, _colour(name), ":" if apart else "-", None if apart or metric == LOOSE else name)
            ax.set(ylabel=f"TPIR@FPIR={title} (%)")
        axes[0, 0].plot([], [], color="black", linestyle=":", label="… with a threshold per model")
        for pair in pairs():
            of = line(cells, pair, upgrade_name(FLAT, RANDOM), BYTES)
            if of:
                first = of[STEPS[0]].mean
                x = [_SHOWN.index(step) for step in of if step in _SHOWN]
                values = [of[_SHOWN[at]].mean / first for at in x]
                dashes = "--" if pair == pairs(True)[-1] else "-"  # where two lines lie on top of each other
                axes[1, 0].plot(x, values, dashes, color=_colour(pair[0]), linewidth=1.3, marker="o", markersize=3)
        axes[1, 0].set(ylabel="bytes of all indexes, day 0 = 1", ylim=(0, None))
        for pair in pairs(True):
            for kind in APPROXIMATE:
                of = line(cells, pair, upgrade_name(kind, RANDOM), RECALL_10)
                marker, style = _KIND_MARKS[kind]
                _draw(axes[1, 1], of, _colour(pair[0]), style, None, marker)
        for kind, (marker, style) in _KIND_MARKS.items():
            axes[1, 1].plot([], [], color="0.4", linestyle=style, marker=marker, markersize=3, label=kind)
        axes[1, 1].set(ylabel="recall@10 of the flat index (%)")
        axes[1, 1].legend(loc="lower left")
        for ax in axes[1]:
            ax.set_xticks(range(len(_SHOWN)), _SHOWN, rotation=30, ha="right")
        handles, labels = axes[0, 0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower center", ncols=2)
    return figure


def _colour(name: str) -> object:
    return _COLOURS[name.split(",")[0].split("@")[0]]


def _draw(ax, of: Line, colour, style: str, label: str | None, marker: str = "o") -> None:
    shown = [(at, of[step]) for at, step in enumerate(_SHOWN) if step in of]
    if not shown:
        return
    x, mean = [at for at, _ in shown], [cell.mean for _, cell in shown]
    ax.plot(x, mean, color=colour, linestyle=style, linewidth=1.3, marker=marker, markersize=3, label=label)
    half = np.nan_to_num([cell.half_width for _, cell in shown])
    if style != ":":
        ax.errorbar(x, mean, half, color=colour, linewidth=0, elinewidth=0.7, capsize=1.5)
