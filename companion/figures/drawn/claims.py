"""The ledger as a figure: the distance of every claim's effect from its bound, positive on the side claimed."""

from textwrap import fill

from matplotlib.figure import Figure

from bctlib.base.style import COLOURS, GENUINE
from companion.figures.drawing import draw_interval, drawn
from companion.tables.cells import PROTOCOLS, View
from companion.tables.claims.claim_list import CLAIMS, SECTIONS
from companion.tables.claims.ledger import judged_claims
from companion.tables.claims.verdicts import FAILS, HOLDS, NOT_MEASURED, UNDECIDED, margin

VERDICT_COLOURS = {HOLDS: COLOURS["new*"], FAILS: COLOURS["new-bct-sys"], UNDECIDED: "0.45"}
VERDICT_MARKERS = {HOLDS: "o", FAILS: "X", UNDECIDED: "s"}
EDGE = 12.0
"""Distance in points beyond which an effect is drawn as an arrow with its value."""


def plot_claims(view: View) -> Figure:
    """One row per claim; left: 1:1, right: 1:N and claims with another measure (named at the right edge).

    x is the distance in points from the claim's bound, positive on the side claimed (shaded): a claim holds if its
    point and 95 % interval lie in the shaded area. Claims that are not measured are marked. Only the view's scale is
    used, because verdicts are about lambda 1.
    """
    judged = judged_claims(view.scale)
    row_of = _rows()
    with drawn(view.scale, "claims", height=0.25 * len(row_of) + 1.4, ncols=2, sharey=True) as (figure, axes):
        for ax, title in zip(axes, ("1:1", "1:N, and measures of their own"), strict=True):
            ax.axvspan(0, EDGE + 2, color=GENUINE, alpha=0.12, linewidth=0)
            ax.axvline(0, color="0.3", linewidth=0.8)
            ax.set(xlim=(-EDGE - 2, EDGE + 2), title=title, xlabel="points beyond the bound")
            ax.tick_params(axis="y", length=0)
            ax.grid(axis="y", color="0.92", linewidth=0.6)
            ax.set_axisbelow(True)
        several = {claim.name: len(claim.at) for claim in CLAIMS}
        for claim, point, judgement in judged:
            ax = axes[0] if point.label == "1:1" or point == claim.at[0] and several[claim.name] > 1 else axes[1]
            name = "" if point.protocol in PROTOCOLS else point.label
            if judgement.verdict == NOT_MEASURED:
                ax.text(-EDGE / 2, row_of[claim.name], NOT_MEASURED, color="0.6", fontsize=7, ha="center", va="center",
                        bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.5})  # fmt: skip
            else:
                _dot(ax, row_of[claim.name], *margin(claim.test, judgement), judgement.verdict)
            if name:
                ax.text(EDGE + 2, row_of[claim.name], f" {name}", fontsize=7, va="center", clip_on=False)
        _labels(axes[0], row_of)
        for verdict, colour in VERDICT_COLOURS.items():
            axes[0].plot([], [], VERDICT_MARKERS[verdict], color=colour, markersize=4, label=verdict)
        axes[0].fill([], [], color=GENUINE, alpha=0.12, linewidth=0, label="side claimed")
        figure.legend(loc="outside lower center", ncols=4)
    return figure


def _rows() -> dict[str, float]:
    """The y position of each claim, from the top, with a gap between sections."""
    rows, height = {}, 0.0
    for claims in SECTIONS.values():
        for claim in claims:
            rows[claim.name] = height
            height += 1
        height += 0.6
    return rows


def _labels(ax, row_of: dict[str, float]) -> None:
    gists = {claim.name: ("ours: " if claim.ours else "") + claim.gist for claim in CLAIMS}
    ax.set_yticks(list(row_of.values()), [fill(gists[name], 46) for name in row_of], fontsize=7, linespacing=0.95)
    ax.set_ylim(max(row_of.values()) + 0.8, -0.8)


def _dot(ax, row: float, distance: float, half_width: float, verdict: str) -> None:
    colour = VERDICT_COLOURS[verdict]
    if abs(distance) > EDGE:
        side = 1 if distance > 0 else -1
        ax.plot(side * (EDGE + 1.4), row, marker=">" if side > 0 else "<", color=colour, markersize=4)
        ax.text(side * (EDGE + 0.4), row, f"{distance:+.0f}", fontsize=7, color=colour, va="center",
                ha="right" if side > 0 else "left")  # fmt: skip
        return
    draw_interval(ax, row, distance, half_width, colour, VERDICT_MARKERS[verdict], size=3.5, cap=1.5, line=0.9)
