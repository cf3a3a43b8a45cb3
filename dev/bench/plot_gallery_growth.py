"""What `bench evaluation` measured as the gallery grows: seconds and memory of a search, a ranking and a backfill."""

from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt

from bctlib.base.style import COLUMN, PALETTE, STYLE, new_figure, save_into

STAGES = ("search in", "ranking of", "backfill of")


def draw(content: dict[str, Any], folder: Path) -> list[Path]:
    """Draw the growing galleries into `folder`; gives the files, none where they were not measured.

    content: what bench-evaluation.json holds.
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
