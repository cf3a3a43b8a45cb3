"""Pictures of search results: the tour's small gallery, and queries of re-identification with their best images.

Frames distinguish right answers from wrong ones.
"""

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from bctlib.base.style import GENUINE, IMPOSTOR, TEXT
from bctlib.data.photos.sets import ImageFilePool
from bctlib.data.templates import ImagePool
from companion.figures.drawing import drawn
from companion.measure.examples import (
    N_QUERIES,
    PAIRS,
    Retrievals,
    draw_examples,
    load_retrievals,
    mate_ranks,
    rank_gallery,
)
from companion.measure.reid import TABLE, TASK, bench_reid_protocol
from companion.pairs import LOWER_BOUND, Pair
from companion.tables.cells import View, pair_text
from companion.workbench import Workbench


def pictures(pool: ImagePool | ImageFilePool, positions: Sequence[int]) -> np.ndarray:
    """Images of the pool for display: uint8 [k,S,S], dark ink on white paper, or [k,H,W,3] of image files.

    Raises BctError naming a file that cannot be read.
    """
    if isinstance(pool, ImagePool):
        return 255 - pool.images[list(positions)]
    return np.stack([pool.image(int(position)) for position in positions])


N_ANSWERS = 5
_SMALL = 6.0
"""Font size of text next to a picture, points."""
_KIND = {"old": "old model", "new*": "incompatible new model", "new-bct-sys": "compatible new model"}
_GROUP, _ROW = N_ANSWERS + 1.0, 1.5
"""Distance between groups of answers and between queries, in widths of a picture."""


@dataclass(frozen=True)
class _Sheet:
    """Axes for pictures of width 1 and height 1; y points downwards."""

    ax: Axes
    pool: ImagePool | ImageFilePool

    def picture(self, position: int, x: float, y: float, note: str, framed: bool = False) -> None:
        sides = (x, x + 0.92, y + 0.92, y)
        self.ax.imshow(pictures(self.pool, [position])[0], cmap="gray", vmin=0, vmax=255, extent=sides)
        if framed:
            self.ax.add_patch(Rectangle((x, y), 0.92, 0.92, fill=False, edgecolor=GENUINE, linewidth=2))
        self.word(note, x + 0.46, y + 1.13, ha="center", fontsize=_SMALL)

    def word(self, text: str, x: float, y: float, **how) -> None:
        self.ax.text(x, y, text, va="center", **how)


@contextmanager
def _sheet(
    scale: str, name: str, pool: ImagePool | ImageFilePool, width: float, top: float, bottom: float
) -> Iterator[tuple[Figure, _Sheet]]:
    """A figure as `drawn` makes it, with room for `width` pictures side by side from y = top down to y = bottom."""
    with drawn(scale, name, height=TEXT * (bottom - top) / width) as (figure, ax):
        ax.set(xlim=(0, width), ylim=(bottom, top), autoscale_on=False)
        ax.axis("off")
        yield figure, _Sheet(ax, pool)


def plot_gallery(bench: Workbench, n_queries: int = N_QUERIES) -> Figure:
    """The small gallery, one picture per identity with its number, and the query pictures."""
    protocols = bench.protocols()
    examples = draw_examples(protocols, n_queries)
    size = (len(examples.gallery), -0.6, 3.4)
    with _sheet(bench.scale, "tour_gallery", protocols.pool, *size) as (figure, sheet):
        sheet.word("gallery: one picture per identity; the number says which identity", 0, -0.35)
        for column, (position, identity) in enumerate(zip(examples.gallery, examples.gallery_identity, strict=True)):
            sheet.picture(position, column, 0, str(identity))
        sheet.word("queries: other pictures of some of these identities", 0, 1.75)
        for column, (position, identity) in enumerate(zip(examples.queries, examples.query_identity, strict=True)):
            sheet.picture(position, column, 2.1, str(identity))
    return figure


def plot_retrieval(view: View, seed: int | None = None, n_queries: int | None = None) -> Figure:
    """The first answers of the old gallery with their cosines, for each query (rows) and each query model (groups).

    From saved results and data alone; n_queries: how many of the first queries, by default all that were saved. The
    right answer is framed; if it is not among those shown, its rank is printed.
    """
    saved = load_retrievals(view.scale, seed, view.device, n_queries)
    examples = saved.examples
    width, height = 1.5 + _GROUP * len(PAIRS), _ROW * len(examples.queries)
    size = (width, -1.3, height - 0.2)
    with _sheet(view.scale, "tour_retrieval", saved.protocols.pool, *size) as (figure, sheet):
        sheet.word("query", 0, -0.3)
        for row, (position, identity) in enumerate(zip(examples.queries, examples.query_identity, strict=True)):
            sheet.picture(position, 0, row * _ROW, str(identity))
        for group, pair in enumerate(PAIRS):
            left = 1.5 + group * _GROUP
            sheet.word(f"{_KIND[pair[0]]} asks\n{pair_text(pair)}", left, -0.65)
            _answers(sheet, saved, pair, left)
    return figure


def _answers(sheet: _Sheet, saved: Retrievals, pair: Pair, left: float) -> None:
    """One group: a row of answers for each query."""
    examples, scores = saved.examples, saved.cosines[pair]
    ranks = mate_ranks(scores, examples.query_identity, examples.gallery_identity)
    for row, places in enumerate(rank_gallery(scores)[:, :N_ANSWERS]):
        for column, place in enumerate(places):
            right = column + 1 == ranks[row]
            note = f"{scores[row, place]:.2f}"
            sheet.picture(examples.gallery[place], left + column, row * _ROW, note, right)
        if ranks[row] > N_ANSWERS:
            sheet.word(f"right\none:\n{ranks[row]}th", left + N_ANSWERS, row * _ROW + 0.46, fontsize=_SMALL)


HIT_PAIRS: tuple[Pair, ...] = (LOWER_BOUND, ("old", "new*"), ("old", "new-bct"), ("new-bct", "old"))
COLUMNS = 2
"""Queries side by side."""


def plot_reid_hits(bench: Workbench, view: View) -> Figure:
    """For each query a block with a row for each pair of models: the query, a gap, its best gallery images in order.

    Solid frame: the query's identity, by another camera; dashed: another identity. From the rows that
    `measure.reid.save_reid_hits` has saved, first seed. bench: at the view's scale, for the pictures.
    """
    bench = bench.for_task(TASK)
    rows, protocol = view.first_seed(TABLE), bench_reid_protocol(bench)
    pool = bench.protocols().pool
    queries = sorted({int(metric.split()[-1]) for metric in rows["metric"]})
    n_rows = len(HIT_PAIRS) * math.ceil(len(queries) / COLUMNS)
    with drawn(
        bench.scale, "reid_hits", height=0.42 * n_rows + 0.1, nrows=n_rows, ncols=COLUMNS, squeeze=False
    ) as (figure, axes):  # fmt: skip
        for number, query in enumerate(queries):
            top, column = number // COLUMNS * len(HIT_PAIRS), number % COLUMNS
            axes[top, column].set_title("query, and its best gallery images", loc="left", pad=3)
            for pair, ax in zip(HIT_PAIRS, axes[top:, column], strict=False):
                here = rows[(rows["query_model"] == pair[0]) & (rows["gallery_model"] == pair[1])]
                here = here[here["metric"] == f"hit of {query}"]
                hits = here.sort_values("operating_point", key=lambda ranks: ranks.astype(int))["value"].astype(int)
                is_right = protocol.identity[hits] == protocol.identity[query]
                _strip(ax, pictures(pool, [query, *hits]), is_right)
                if column == 0:
                    ax.annotate(
                        view.text(pair), (0, 0.5), xytext=(-4, 0), xycoords="axes fraction",
                        textcoords="offset points", ha="right", va="center", annotation_clip=False,
                    )  # fmt: skip
        for ax in axes.flat:
            ax.axis("off")
    return figure


def redraw_reid_hits(view: View) -> Figure:
    """`plot_reid_hits` from saved rows and data alone."""
    return plot_reid_hits(Workbench(view.scale, device="cpu"), view)


def _strip(ax: Axes, images: np.ndarray, is_right: np.ndarray) -> None:
    """The query, a gap of half a picture, then the hits, each in the frame for a right or a wrong answer."""
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
