"""Figures of the benchmarks.

`draw_speed` draws `bench training`: this loop beside a plain one, the methods, and an epoch over growing sets.
`draw_growth` draws `bench evaluation`: seconds and memory of a search, a ranking and a backfill as the gallery grows.
"""

from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
from matplotlib.axes import Axes

from bctlib.base.style import COLUMN, PALETTE, STYLE, TEXT, new_figure, save_into


def draw_speed(content: dict[str, Any], folder: Path) -> list[Path]:
    """Draw the parts that were measured into `folder` and return the files, none if no part has a panel.

    content: of bench-training.json.
    """
    parts = {part: [row for row in content["rows"] if row["part"] == part] for part in _PANELS}
    parts = {part: rows for part, rows in parts.items() if rows}
    if not parts:
        return []
    with plt.rc_context(STYLE):
        figure, axes = new_figure(TEXT, 2.4, ncols=len(parts), squeeze=False)
        for axis, (part, rows) in zip(axes[0], parts.items(), strict=True):
            _PANELS[part](axis, rows)
        busy = content["load_before"]
        note = f"{content['provenance']['device']}; medians"
        if busy is not None and busy > 0.5:
            note += f"; the machine was busy (load {busy:.1f})"
        figure.supxlabel(note, fontsize=6)
        return save_into(figure, folder, "training_speed")


def _loop(axes: Axes, rows: list[dict]) -> None:
    names = [row["name"].replace(", ", ",\n") for row in rows]
    bars = axes.barh(names, [row["images_per_s"] for row in rows], color=[PALETTE[2], *[PALETTE[7]] * (len(rows) - 1)])
    axes.bar_label(bars, fmt="{:,.0f}", padding=2, fontsize=7)
    axes.margins(x=0.25)
    axes.invert_yaxis()
    axes.set(xlabel="images/s in training")
    axes.xaxis.set_major_formatter("{x:,.0f}")
    axes.locator_params(axis="x", nbins=4)


def _methods(axes: Axes, rows: list[dict]) -> None:
    names, ratios = [row["name"].replace(", ", ",\n") for row in rows], [row["ratio"] or 1.0 for row in rows]
    bars = axes.barh(names, ratios, color=PALETTE[0])
    axes.bar_label(bars, fmt="{:.2f}", padding=2, fontsize=7)
    axes.axvline(1, color="0.7", linewidth=0.8, linestyle=":", zorder=0)
    axes.margins(x=0.2)
    axes.invert_yaxis()
    axes.set(xlabel="cost relative to\nindependent training")


def _growth(axes: Axes, rows: list[dict]) -> None:
    axes.plot([row["images"] for row in rows], [row["seconds"] for row in rows], color=PALETTE[0], linewidth=1)
    for extrapolated, label in ((False, "measured"), (True, "extrapolated")):
        chosen = [row for row in rows if row["extrapolated"] is extrapolated]
        if chosen:
            fill = "white" if extrapolated else PALETTE[0]
            axes.plot(
                [row["images"] for row in chosen], [row["seconds"] for row in chosen], "o", markersize=5,
                color=PALETTE[0], markerfacecolor=fill, label=label,
            )  # fmt: skip
    axes.set(xscale="log", yscale="log", xlabel="training images", ylabel="seconds an epoch")
    axes.legend()


_PANELS = {"loop": _loop, "methods": _methods, "growth": _growth}


STAGES = ("search in", "ranking of", "backfill of")


def draw_growth(content: dict[str, Any], folder: Path) -> list[Path]:
    """Draw the growing galleries into `folder` and return the files, none if they were not measured.

    content: of bench-evaluation.json.
    """
    curves = {stage: _curve(content["lines"], stage) for stage in STAGES}
    if not all(curves.values()):
        return []
    with plt.rc_context(STYLE):
        figure, (above, below) = new_figure(COLUMN, 3.6, nrows=2, sharex=True)
        for colour, (stage, rows) in zip(PALETTE, curves.items(), strict=False):
            sizes, seconds, megabytes = zip(*rows, strict=True)
            above.plot(sizes, seconds, "o-", color=colour, linewidth=1, markersize=3, label=stage.split()[0])
            below.plot(sizes, megabytes, "o-", color=colour, linewidth=1, markersize=3)
        sizes = [size for size, *_ in curves[STAGES[0]]]
        # What a whole score matrix would take, which is never built.
        whole = [size * content["sizes"]["searches"] * 4 / 1e6 for size in sizes]
        below.plot(sizes, whole, ":", color="0.5", linewidth=1, label="the whole score matrix")
        above.set(xscale="log", yscale="log", ylabel="seconds")
        below.set(xscale="log", yscale="symlog", ylabel="memory beyond\nits input, MB", xlabel="vectors in the gallery")
        below.set_ylim(bottom=0)
        above.legend()
        below.legend(loc="upper left")
        figure.supxlabel(f"{content['sizes']['searches']:,} searches; {content['provenance']['device']}", fontsize=6)
        return save_into(figure, folder, "gallery_growth")


def _curve(lines: list[dict], stage: str) -> list[tuple[int, float, float]]:
    """(vectors, seconds, MB) of a stage, from the smallest gallery to the largest."""
    own = [line for line in lines if line["stage"].startswith(stage) and line["timing"]["peak_mb"] is not None]
    rows = [(int(line["stage"].split()[-1].replace(",", "")), line["timing"]) for line in own]
    return sorted((size, timing["seconds"], timing["peak_mb"]) for size, timing in rows)
