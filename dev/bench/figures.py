"""What `bench training` measured: ours beside the plain loop, the methods, and an epoch over growing sets."""

from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
from matplotlib.axes import Axes

from bctlib.base.style import PALETTE, STYLE, TEXT, new_figure, save_into


def draw(content: dict[str, Any], folder: Path) -> list[Path]:
    """Draw the parts that were measured into `folder`; gives the files, none where no part has a panel.

    content: what bench-training.json holds.
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
