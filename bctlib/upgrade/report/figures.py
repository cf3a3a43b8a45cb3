"""Figures of the report as SVG inside the page, each with a text that describes it for screen readers."""

import base64
import io
from dataclasses import dataclass

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from bctlib.base.style import GENUINE, IMPOSTOR, STYLE
from bctlib.upgrade.report.evidence.backfill import BackfillBand
from bctlib.upgrade.report.evidence.classes import ClassChange
from bctlib.upgrade.report.evidence.scores import EDGES
from bctlib.upgrade.report.judge import Judgement
from bctlib.upgrade.report.verdict import NO, UNDECIDED, YES, JudgedPoint

WIDTH = 4.6
"""Inches: narrow, so that text stays readable on a phone."""
LOOK = STYLE | {
    "font.size": 10, "axes.titlesize": 10, "axes.labelsize": 10, "legend.fontsize": 9, "xtick.labelsize": 9,
    "ytick.labelsize": 9, "svg.hashsalt": "bctlib.report", "axes.titlelocation": "left",
}  # fmt: skip
DECISION_COLOURS = {YES: "#1b6e3c", NO: "#b3261e", UNDECIDED: "#6b6b6b"}
DECISION_MARKERS = {YES: "o", NO: "X", UNDECIDED: "D"}
FEW_POINTS = 60


@dataclass(frozen=True)
class Drawing:
    """address: the figure as a `data:` address of an SVG; alt: its description."""

    address: str
    alt: str


def figures(judgement: Judgement) -> dict[str, Drawing]:
    """The figures of the judgement: differences, backfill (if measured), scores, classes."""
    with plt.rc_context(LOOK):
        drawn = {"differences": _drawing(*differences(judgement.points))}
        if judgement.backfill:
            drawn["backfill"] = _drawing(*backfill(judgement.backfill, judgement.points))
        drawn["scores"] = _drawing(*scores(judgement))
        drawn["classes"] = _drawing(*classes(judgement.classes))
    return drawn


def differences(points: list[JudgedPoint]) -> tuple[Figure, str]:
    """M(new, old) - M(old, old) at each operating point with its interval."""
    figure, axes = plt.subplots(figsize=(WIDTH, 0.9 + 0.33 * len(points)))
    for at, point in enumerate(points):
        low, value, high = 100 * point.difference.low, 100 * point.difference.value, 100 * point.difference.high
        colour = DECISION_COLOURS[point.decision]
        axes.plot([low, high], [at, at], color=colour, linewidth=2.5, solid_capstyle="round")
        axes.plot(value, at, DECISION_MARKERS[point.decision], color=colour, markersize=6)
    axes.axvline(0, color="black", linewidth=1)
    axes.set_yticks(range(len(points)), [point.name + ("" if point.decides else "*") for point in points])
    axes.set_ylim(len(points) - 0.4, -0.6)
    axes.set_xlabel("new/old minus old/old, points of per cent")
    axes.grid(axis="x", color="#dddddd", linewidth=0.7)
    said = "; ".join(f"{p.name} {100 * p.difference.low:+.2f} to {100 * p.difference.high:+.2f}" for p in points)
    return figure, f"Intervals of the difference between new/old and old/old in points of per cent: {said}."


def backfill(bands: list[BackfillBand], points: list[JudgedPoint]) -> tuple[Figure, str]:
    """Fig. 3 with the spread over orders, and the level of the old system."""
    figure, axes = plt.subplots(figsize=(WIDTH, 3.0))
    old = {(point.metric, point.point): point.old_old.value for point in points}
    said = []
    for number, band in enumerate(bands):
        name = f"TPIR@FPIR={band.point:g}" if band.metric == "TPIR" else "rank-1"
        (line,) = axes.plot(band.share, band.mean, color=f"C{number}", label=name)
        axes.fill_between(band.share, band.low, band.high, color=line.get_color(), alpha=0.25, linewidth=0)
        said.append(f"{name} from {100 * band.mean[0]:.1f} to {100 * band.mean[-1]:.1f} %")
        if (level := old.get((band.metric, band.point))) is not None:
            axes.axhline(level, color=line.get_color(), linestyle=":", linewidth=1.2)
            said[-1] += f" (old system {100 * level:.1f} %)"
    axes.plot([], [], ":", color="grey", label="old/old")
    axes.set(xlabel="classes of the gallery backfilled", ylabel="new queries answered", xlim=(0, 1))
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(PercentFormatter(1))
    axes.legend()
    return figure, f"Accuracy while the gallery is backfilled: {'; '.join(said)}."


def scores(judgement: Judgement) -> tuple[Figure, str]:
    """Genuine and impostor cosines, a panel for each pair of models."""
    pairs = list(dict.fromkeys((each.query_model, each.gallery_model) for each in judgement.scores))
    pairs.sort(key=lambda pair: ("old/old", "unmapped/old", "new/old", "new/new", "new*/new*").index("/".join(pair)))
    figure, panels = plt.subplots(len(pairs), 1, figsize=(WIDTH, 0.5 + 1.15 * len(pairs)), sharex=True, squeeze=False)
    centres, said = (EDGES[:-1] + EDGES[1:]) / 2, []
    used = np.zeros(len(centres), bool)
    for axes, pair in zip(panels[:, 0], pairs, strict=True):
        mean = {}
        for each in judgement.scores:
            if (each.query_model, each.gallery_model) == pair:
                colour = GENUINE if each.kind == "genuine" else IMPOSTOR
                axes.fill_between(
                    centres, each.share, step="mid", color=colour, alpha=0.55, linewidth=0, label=each.kind
                )
                axes.step(centres, each.share, where="mid", color=colour, linewidth=1)
                mean[each.kind] = each.mean
                used |= np.array(each.share) > 0
        axes.set_title("/".join(pair))
        axes.set(yticks=[], ylim=(0, None))
        axes.spines["left"].set_visible(False)
        said.append(f"{'/'.join(pair)} genuine {mean['genuine']:.2f}, impostor {mean['impostor']:.2f}")
    panels[0, 0].legend(loc="upper left")
    panels[-1, 0].set(xlabel="cosine", xlim=(EDGES[:-1][used][0], EDGES[1:][used][-1]))
    return figure, f"Distributions of the scores of genuine and impostor pairs; mean cosines: {'; '.join(said)}."


def classes(changes: list[ClassChange]) -> tuple[Figure, str]:
    """Each class's mean reciprocal rank under both systems; below the diagonal it got worse."""
    figure, axes = plt.subplots(figsize=(WIDTH, WIDTH * 0.82))
    groups = {
        "no change beyond chance": ([c for c in changes if not c.beyond_chance], UNDECIDED),
        "better": ([c for c in changes if c.beyond_chance and c.change == "better"], YES),
        "worse": ([c for c in changes if c.beyond_chance and c.change == "worse"], NO),
    }
    axes.plot([0, 1], [0, 1], color="black", linewidth=1)
    for name, (members, decision) in groups.items():
        if members:
            x, y = [c.reciprocal_old for c in members], [c.reciprocal_new for c in members]
            axes.plot(
                x, y, DECISION_MARKERS[decision], color=DECISION_COLOURS[decision], label=f"{name} ({len(members)})",
                markersize=4 if decision == UNDECIDED and len(changes) > FEW_POINTS else 6,
                alpha=0.45 if decision == UNDECIDED else 0.85, markeredgewidth=0,
                rasterized=len(changes) > 2000,
            )  # fmt: skip
    lowest = min(min(c.reciprocal_old, c.reciprocal_new) for c in changes)
    span = (lowest - 0.04, 1.03)
    axes.set(xlabel="mean reciprocal rank, old/old", ylabel="new/old", xlim=span, ylim=span)
    axes.legend(loc="upper left", bbox_to_anchor=(0, -0.16))
    counts = ", ".join(f"{len(members)} {name}" for name, (members, _) in groups.items())
    return figure, f"Mean reciprocal rank of each class under the old system and under new/old: {counts}."


def _drawing(figure: Figure, alt: str) -> Drawing:
    file = io.BytesIO()
    figure.savefig(file, format="svg", metadata={"Date": None, "Creator": None})
    plt.close(figure)
    return Drawing("data:image/svg+xml;base64," + base64.b64encode(file.getvalue()).decode("ascii"), alt)
