"""Why ReLU fails: the coordinates of old and new embeddings, and what a vector without negative ones can reach."""

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.figure import Figure

from companion.measure.coordinates import EDGES, MODELS, TABLE
from companion.results import load_rows
from companion.tables.cells import first_seed, measured
from companion.figures.model_colours import colour_of
from bctlib.base.style import STYLE, new_figure, save_figure
from bctlib.models import with_lambda


def plot_coordinates(scale: str, device: str | None = None, lam: float = 1.0) -> Figure:
    """Histogram of the coordinates of unit embeddings, one panel per model; first seed, counts on a log scale.

    lam: of the run whose models are looked at. The panel of a model whose training diverged is empty. Raises BctError
    where nothing was measured at this lambda.
    """
    models = [with_lambda(name, lam) for name in MODELS]
    rows = first_seed(load_rows(scale, TABLE, device), [(model, model) for model in models], TABLE, lam)
    rows = rows[rows["metric"] == "coordinate"]
    with plt.rc_context(STYLE):
        figure, axes = new_figure(height=1.9, ncols=len(models), sharex=True, sharey=True)
        for ax, model in zip(axes, models, strict=True):
            bins = rows[rows["query_model"] == model]
            centres = bins["operating_point"].astype(float).to_numpy()
            ax.bar(centres, bins["value"].to_numpy(), EDGES[1] - EDGES[0], color=colour_of(model))
            ax.axvline(0, color="0.4", linewidth=0.8)
            ax.set(title=model, xlabel="coordinate of the unit embedding", yscale="log")
        axes[0].set_ylabel("share of coordinates (%)")
    return save_figure(figure, scale, "coordinates")


def coordinate_table(scale: str, device: str | None = None) -> pd.DataFrame:
    """Per model: share of negative coordinates, and the best cosine that a vector without any could have with it."""
    cells = measured(TABLE, scale, device)
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
