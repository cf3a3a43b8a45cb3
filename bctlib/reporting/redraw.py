"""All figures again, from committed results and data alone."""

from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor

from matplotlib.figure import Figure

from bctlib import progress
from bctlib.experiments.coordinates import TABLE as COORDINATES
from bctlib.experiments.reid_hits import TABLE as REID_HITS
from bctlib.experiments.results import readable_file
from bctlib.experiments.retrieval_examples import TABLE as TOUR
from bctlib.experiments.score_distributions import TABLE as SCORES
from bctlib.experiments.workbench import Workbench
from bctlib.reporting.cells import NotMeasured
from bctlib.reporting.plot_backfill import plot_backfill, plot_orders
from bctlib.reporting.plot_baselines import plot_baselines, plot_tradeoff
from bctlib.reporting.plot_chain import plot_fig2, plot_long_chain
from bctlib.reporting.plot_claims import plot_claims
from bctlib.reporting.plot_coordinates import plot_coordinates
from bctlib.reporting.plot_diagrams import plot_influence_loss, plot_update
from bctlib.reporting.plot_live_upgrade import plot_live_upgrade
from bctlib.reporting.plot_protocol import plot_identities, plot_templates
from bctlib.reporting.plot_reid import plot_reid
from bctlib.reporting.plot_reid_hits import redraw_reid_hits
from bctlib.reporting.plot_retrieval import plot_gallery, plot_retrieval
from bctlib.reporting.plot_robustness import plot_robustness
from bctlib.reporting.plot_scores import FAILURES, plot_failure_scores, plot_scores
from bctlib.reporting.plot_training_signal import plot_distortions
from bctlib.scales import SCALES

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
