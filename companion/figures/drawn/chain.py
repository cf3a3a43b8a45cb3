"""Figure 2 with our numbers on its arrows, and how compatibility fades along a longer chain."""

import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch

from bctlib.base.style import PARAGON_COLOUR, sequence
from bctlib.models import LONG_CHAIN, TABLE_4A
from companion.figures.drawing import drawn
from companion.figures.drawn.claims import VERDICT_COLOURS
from companion.tables.cells import HEADLINE, PROTOCOLS, View, paper_value, power
from companion.tables.claims.quantities import Accuracy, satisfies_eq_2
from companion.tables.claims.verdicts import FAILS, HOLDS, UNDECIDED, judge

PLACES = {"phi1": 0.0, "phi2": 1.0, "phi3": 2.0}
SYMBOLS = {"phi1": "$\\phi_1$", "phi2": "$\\phi_2$", "phi3": "$\\phi_3$"}


def plot_fig2(view: View) -> Figure:
    """The chain as in Fig. 2: own accuracy above each model, accuracy of (new, old) on each arrow, 1:1, ours (paper).

    An arrow's colour and second line say whether Eq. 2 holds: the difference to the older model's own accuracy, paired
    by seed. Below each model is its share of the training identities, and for phi2 and phi3 the paragon's accuracy.
    """
    cells, at = view.cells("table4"), ("verification", "TAR@FAR", HEADLINE["TAR@FAR"])

    def text(query: str, gallery: str) -> str:
        cell = cells[query, gallery, *at]
        printed = paper_value("table4", query, gallery, *at) or paper_value("table9", query, gallery, *at)
        return cell.text() + (f" (paper {printed:.1f})" if printed is not None else "")

    with drawn(view.scale, "fig2_chain", height=2.9) as (figure, ax):
        for name, x in PLACES.items():
            ax.plot(x, 0, "o", markersize=30, color="0.9", markeredgecolor="0.4")
            ax.text(x, 0, SYMBOLS[name], ha="center", va="center", fontsize=11)
            ax.text(x, 0.33, text(name, name), ha="center", va="bottom", fontsize=7)
        for spec in TABLE_4A[:3]:
            share = f"{100 * spec.share:.0f} % of identities"
            ax.text(PLACES[spec.name], -0.33, share, ha="center", va="top", fontsize=7)
        for query, gallery, bend in (("phi2", "phi1", 0.0), ("phi3", "phi2", 0.0), ("phi3", "phi1", -0.12)):
            gain = cells[query, gallery, *at].minus(cells[gallery, gallery, *at])
            pair = Accuracy("table4", query, gallery)
            verdict = judge(dict(zip(gain.seeds, gain.values, strict=True)), satisfies_eq_2(pair))
            label = f"{text(query, gallery)}\n{gain.text(sign=True)}: Eq. 2 {_SAID[verdict]}"
            _arrow(ax, PLACES[query], PLACES[gallery], bend, label, VERDICT_COLOURS[verdict])
        for name, spec in (("phi2", "phi2*"), ("phi3", "phi3*")):
            best = f"paragon: {text(spec, spec)}"
            ax.text(PLACES[name], -0.52, best, ha="center", va="top", fontsize=7, color=PARAGON_COLOUR)
        ax.set(xlim=(-0.4, 2.4), ylim=(-0.95, 1.6))
        ax.set_axis_off()
        ax.set_title(f"arrows: (query model, gallery model), {at[1]}={power(at[2])} in %, {view.scale} scale")
    return figure


_SAID = {HOLDS: "holds", FAILS: "fails", UNDECIDED: "is undecided"}


def _arrow(ax, start: float, end: float, bend: float, label: str, colour: str) -> None:
    middle = (start + end) / 2
    height = 0.0 if not bend else 0.97
    if bend:
        points = {"posA": (start, 0.68), "posB": (end, 0.68), "connectionstyle": f"arc3,rad={-bend}"}
    else:
        points = {"posA": (start - 0.16, 0), "posB": (end + 0.16, 0)}
    ax.add_patch(FancyArrowPatch(**points, arrowstyle="-|>", mutation_scale=10, color=colour, linewidth=1.2))
    ax.text(middle, height + 0.06, label, ha="center", va="bottom", fontsize=7, color=colour)


def plot_long_chain(view: View) -> Figure:
    """Gain of query version k over the gallery's own version j, against the distance k - j; one line per gallery.

    Bars: 95 % interval over seeds of the difference, paired by seed. Eq. 2 holds above the dashed line. Models are
    trained for distance 1; compatibility at larger distances is transitive.
    """
    cells = view.cells("long_chain")
    names = [spec.name for spec in LONG_CHAIN]
    colours = sequence(len(names) - 1)
    points = [(protocol, metric, HEADLINE[metric]) for protocol, (_, metric) in PROTOCOLS.items()]
    with drawn(view.scale, "long_chain", height=2.8, ncols=2) as (figure, axes):
        for ax, at in zip(axes, points, strict=True):
            for j, gallery in enumerate(names[:-1]):
                gains = [cells[(query, gallery, *at)].minus(cells[(gallery, gallery, *at)]) for query in names[j + 1 :]]
                distance = np.arange(1, len(gains) + 1) + 0.05 * (j - 2)
                ax.errorbar(
                    distance, [gain.mean for gain in gains],
                    yerr=np.nan_to_num([gain.half_width for gain in gains]),
                    marker="o", markersize=3, capsize=2, linewidth=1, color=colours[j],
                    label=f"gallery by version {j + 1} ({100 * LONG_CHAIN[j].share:.0f} % of identities)",
                )  # fmt: skip
            ax.axhline(0, color="0.4", linestyle="--", linewidth=1)
            ax.set(xlabel="versions between query and gallery model", ylabel=f"gain in {at[1]}={power(at[2])} (points)")
            ax.set(title=PROTOCOLS[at[0]][0], xticks=range(1, len(names)))
        figure.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=3)
    return figure
