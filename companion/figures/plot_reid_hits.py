"""Pictures of re-identification: queries and the best images that pairs of models find for them."""

import math

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from companion.pairs import LOWER_BOUND, Pair, pairs_at
from companion.measure.reid import TASK, bench_reid_protocol
from companion.measure.reid_hits import TABLE
from companion.results import load_rows
from companion.workbench import Workbench
from companion.tables.cells import pair_text
from companion.figures.pictures import pictures
from bctlib.base.style import GENUINE, IMPOSTOR, STYLE, new_figure, save_figure

PAIRS: tuple[Pair, ...] = (LOWER_BOUND, ("old", "new*"), ("old", "new-bct"), ("new-bct", "old"))
COLUMNS = 2
"""Queries side by side."""


def pairs_shown(lam: float = 1.0) -> tuple[Pair, ...]:
    """The pairs of the picture by the names that their models have in a run at this lambda."""
    return pairs_at(PAIRS, lam)


def plot_reid_hits(bench: Workbench, lam: float = 1.0, device: str | None = None) -> Figure:
    """For each query a block with a row for each pair of models: the query, a gap, its best gallery images in order.

    Framed solid: the query's identity, by another camera; dashed: another identity. From the rows that
    `reid_hits.save_reid_hits` kept, first seed. device: as for `load_rows`.
    """
    bench = bench.for_task(TASK)
    rows, protocol = load_rows(bench.scale, TABLE, device), bench_reid_protocol(bench)
    rows, pool = rows[rows["seed"] == rows["seed"].min()], bench.protocols().pool
    queries = sorted({int(metric.split()[-1]) for metric in rows["metric"]})
    n_rows = len(PAIRS) * math.ceil(len(queries) / COLUMNS)
    with plt.rc_context(STYLE):
        figure, axes = new_figure(height=0.42 * n_rows + 0.1, nrows=n_rows, ncols=COLUMNS, squeeze=False)
        for number, query in enumerate(queries):
            top, column = number // COLUMNS * len(PAIRS), number % COLUMNS
            axes[top, column].set_title("query, and its best gallery images", loc="left", pad=3)
            for pair, ax in zip(pairs_shown(lam), axes[top:, column], strict=False):
                here = rows[(rows["query_model"] == pair[0]) & (rows["gallery_model"] == pair[1])]
                here = here[here["metric"] == f"hit of {query}"]
                hits = here.sort_values("operating_point", key=lambda ranks: ranks.astype(int))["value"].astype(int)
                is_right = protocol.identity[hits] == protocol.identity[query]
                _strip(ax, pictures(pool, [query, *hits]), is_right)
                if column == 0:
                    ax.annotate(
                        pair_text(pair), (0, 0.5), xytext=(-4, 0), xycoords="axes fraction",
                        textcoords="offset points", ha="right", va="center", annotation_clip=False,
                    )  # fmt: skip
        for ax in axes.flat:
            ax.axis("off")
    return save_figure(figure, bench.scale, "reid_hits")


def redraw_reid_hits(scale: str) -> Figure:
    """`plot_reid_hits` from saved rows and data alone."""
    return plot_reid_hits(Workbench(scale, device="cpu"))


def _strip(ax: Axes, images: np.ndarray, is_right: np.ndarray) -> None:
    """The query, half a picture of nothing, then the hits, each in the frame of a right or a wrong answer."""
    height, width = images.shape[1:3]
    step = 1.22 * width
    for place, image in enumerate(images):
        left = place * step + (0.5 * width if place else 0)
        ax.imshow(image, cmap="gray", vmin=0, vmax=255, extent=(left, left + width, height, 0))
        right = place == 0 or is_right[place - 1]
        colour = "0.6" if place == 0 else GENUINE if right else IMPOSTOR
        frame = {"linewidth": 0.6} if place == 0 else {"linewidth": 1.2, "linestyle": "-" if right else (0, (2, 1))}
        ax.add_patch(Rectangle((left, 0), width, height, fill=False, edgecolor=colour, **frame))
    margin = 0.1 * width
    ax.set(xlim=(-margin, len(images) * step + width), ylim=(height + margin, -margin))
