"""Why independent models fail: genuine and impostor scores of several pairs of models.

Why ReLU fails: the coordinates of old and new embeddings, and what a vector without negative ones can reach.
"""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from bctlib.base.style import GENUINE, IMPOSTOR, STYLE, new_figure, save_figure
from bctlib.models import with_lambda
from companion.figures.model_colours import colour_of
from companion.measure.scores import COORDINATE_EDGES, COORDINATES, MODELS, SCORE_EDGES, SCORES
from companion.pairs import LOWER_BOUND, Pair, pairs_at
from companion.results import load_rows
from companion.tables.cells import first_seed, measured, pair_text

PAIRS: tuple[Pair, ...] = (("old", "old"), ("new*", "old"), ("new-bct", "old"), ("new*", "new*"))


FAILURES = "failure_scores"
FAILURE_PAIRS: tuple[Pair, ...] = (
    LOWER_BOUND,
    ("new-bct", "old"),
    ("new-relu", "old"),
    ("new-from-softmax", "old-softmax"),
)
"""What fails in Table 3 beside what works."""


def plot_scores(
    scale: str, pairs: tuple[Pair, ...] = PAIRS, device: str | None = None, table: str = SCORES, lam: float = 1.0
) -> Figure:
    """Cosines of genuine and impostor template pairs, one panel per (query model, gallery model); first seed.

    Where the two distributions cover each other no threshold can tell who is who. table: where they
    are kept, and the figure's name. lam: of the run whose models are compared. The panel of a pair whose training
    diverged is empty. Raises BctError where nothing was measured at this lambda.
    """
    pairs = pairs_at(pairs, lam)
    rows = first_seed(load_rows(scale, table, device), pairs, table, lam)
    width = SCORE_EDGES[1] - SCORE_EDGES[0]
    with plt.rc_context(STYLE):
        figure, axes = new_figure(height=2.0, ncols=len(pairs), sharey=True, sharex=True)
        for ax, pair in zip(axes, pairs, strict=True):
            here = rows[(rows["query_model"] == pair[0]) & (rows["gallery_model"] == pair[1])]
            for metric, colour in (("impostor", IMPOSTOR), ("genuine", GENUINE)):
                bins = here[here["metric"] == metric]
                centres = bins["operating_point"].astype(float).to_numpy()
                ax.bar(centres, bins["value"].to_numpy(), width, color=colour, alpha=0.6, label=metric)
            ax.set(xlabel="cosine", xticks=np.linspace(-0.5, 1, 4), xlim=(-0.6, 1.0))
            ax.set_title(pair_text(pair).replace(", ", ",\n"))
        axes[0].set_ylabel("share of pairs (%)")
        axes[-1].legend()
    return save_figure(figure, scale, table)


def plot_failure_scores(scale: str, device: str | None = None, lam: float = 1.0) -> Figure:
    """The same for what fails in Table 3."""
    return plot_scores(scale, FAILURE_PAIRS, device, FAILURES, lam)


def plot_coordinates(scale: str, device: str | None = None, lam: float = 1.0) -> Figure:
    """Histogram of the coordinates of unit embeddings, one panel per model; first seed, counts on a log scale.

    lam: of the run whose models are looked at. The panel of a model whose training diverged is empty. Raises BctError
    where nothing was measured at this lambda.
    """
    models = [with_lambda(name, lam) for name in MODELS]
    rows = first_seed(load_rows(scale, COORDINATES, device), [(model, model) for model in models], COORDINATES, lam)
    rows = rows[rows["metric"] == "coordinate"]
    with plt.rc_context(STYLE):
        figure, axes = new_figure(height=1.9, ncols=len(models), sharex=True, sharey=True)
        for ax, model in zip(axes, models, strict=True):
            bins = rows[rows["query_model"] == model]
            centres = bins["operating_point"].astype(float).to_numpy()
            ax.bar(centres, bins["value"].to_numpy(), COORDINATE_EDGES[1] - COORDINATE_EDGES[0], color=colour_of(model))
            ax.axvline(0, color="0.4", linewidth=0.8)
            ax.set(title=model, xlabel="coordinate of the unit embedding", yscale="log")
        axes[0].set_ylabel("share of coordinates (%)")
    return save_figure(figure, scale, "coordinates")


def coordinate_table(scale: str, device: str | None = None) -> pd.DataFrame:
    """Per model: share of negative coordinates, and the best cosine that a vector without any could have with it."""
    cells = measured(COORDINATES, scale, device)
    rows = {
        model: {
            "negative coordinates (%)": cells[model, model, "test images", "negative", ""].text(),
            "best cosine with a vector without negative ones (x 100)": cells[
                model, model, "test images", "best non-negative cosine", ""
            ].text(),
        }
        for model in MODELS
    }
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("model")
