"""All figures again, from committed results and data alone."""

from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor

from matplotlib.figure import Figure

from bctlib.base import progress
from bctlib.training.scales import SCALES
from companion.figures.backfill import plot_backfill, plot_orders
from companion.figures.chain import plot_fig2, plot_long_chain
from companion.figures.claims import plot_claims
from companion.figures.data import plot_distortions, plot_identities, plot_templates
from companion.figures.diagrams import plot_influence_loss, plot_update
from companion.figures.dots import plot_baselines, plot_reid, plot_robustness, plot_tradeoff
from companion.figures.hits import plot_gallery, plot_retrieval, redraw_reid_hits
from companion.figures.scores import FAILURES, plot_coordinates, plot_failure_scores, plot_scores
from companion.figures.upgrade import plot_live_upgrade
from companion.measure.examples import TABLE as TOUR
from companion.measure.reid import TABLE as REID_HITS
from companion.measure.scores import COORDINATES, SCORES
from companion.results import readable_file
from companion.tables.cells import NotMeasured
from companion.workbench import Workbench

FROM_RESULTS: tuple[tuple[str, Callable[[str], Figure]], ...] = (
    ("table1", plot_baselines),
    ("tradeoff", plot_tradeoff),
    (SCORES, plot_scores),
    (FAILURES, plot_failure_scores),
    ("table7", plot_robustness),
    (COORDINATES, plot_coordinates),
    ("table4", plot_fig2),
    ("long_chain", plot_long_chain),
    ("table5", plot_reid),
    (REID_HITS, redraw_reid_hits),
    (TOUR, plot_retrieval),
    ("fig3", plot_backfill),
    ("backfill_orders", plot_orders),
    ("upgrade", plot_live_upgrade),
    ("table8", plot_claims),
)
"""The table that a figure is drawn from, and the function that draws it at a scale."""


def redraw_all() -> None:
    """Every figure whose results are there, at every scale, and the pictures of the data at desk scale.

    Drawing takes longer than reading, and figures know nothing of each other: each core draws some.
    """
    jobs = [(table, draw, scale) for scale in SCALES for table, draw in FROM_RESULTS if readable_file(scale, table)]
    with ProcessPoolExecutor() as pool:
        pictures = pool.submit(_draw_pictures)
        drawn = [(table, scale, pool.submit(_draw, draw, scale)) for table, draw, scale in jobs]
        for table, scale, done in drawn:
            try:
                done.result()
                progress.say(f"drawn: {table} at {scale} scale")
            except NotMeasured as error:  # a run at another lambda alone, or a training that diverged
                progress.say(f"not drawn: {error}")
        pictures.result()


def _draw(draw: Callable[[str], Figure], scale: str) -> None:
    """In another process, to which figures cannot be handed back."""
    draw(scale)


def _draw_pictures() -> None:
    bench = Workbench("desk", device="cpu")
    plot_identities(bench.glyphs, "desk")
    plot_templates(bench.protocols(), "desk")
    plot_gallery(bench)
    plot_distortions(bench)
    plot_update("desk")
    plot_influence_loss("desk")
