"""Draw all figures again, from committed results and data alone."""

from concurrent.futures import ProcessPoolExecutor
from pkgutil import resolve_name

from bctlib.base import progress
from bctlib.training.scales import SCALES
from companion.experiments import FIGURE_DATA, TABLES
from companion.figures.data import plot_distortions, plot_identities, plot_templates
from companion.figures.drawn.diagrams import plot_influence_loss, plot_update
from companion.figures.drawn.hits import plot_gallery
from companion.results import readable_file
from companion.tables.cells import NotMeasured, View
from companion.workbench import Workbench


def redraw_all() -> None:
    """Draw every figure whose results exist, at every scale, and the pictures of the data at desk scale.

    Figures are independent of each other and drawing takes longer than reading, so each core draws some of them.
    """
    rows = [row for row in (*TABLES, *FIGURE_DATA) if row.figure]
    jobs = [(row, scale) for scale in SCALES for row in rows if readable_file(scale, row.name)]
    with ProcessPoolExecutor() as pool:
        pictures = pool.submit(_draw_pictures)
        drawn = [(row.name, scale, pool.submit(_draw, row.figure, scale)) for row, scale in jobs]
        for table, scale, done in drawn:
            try:
                done.result()
                progress.say(f"drawn: {table} at {scale} scale")
            except NotMeasured as error:  # only another lambda was measured, or a training diverged
                progress.say(f"not drawn: {error}")
        pictures.result()


def _draw(figure: str, scale: str) -> None:
    """Call the figure's function in another process, which cannot return the figure."""
    resolve_name(figure)(View(scale))


def _draw_pictures() -> None:
    bench = Workbench("desk", device="cpu")
    plot_identities(bench.glyphs, "desk")
    plot_templates(bench.protocols(), "desk")
    plot_gallery(bench)
    plot_distortions(bench)
    plot_update("desk")
    plot_influence_loss("desk")
