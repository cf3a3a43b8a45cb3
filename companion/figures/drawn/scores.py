"""Figures that explain failures, from histograms in the results.

Scores of genuine and impostor pairs show why independent models fail; coordinates of old and new embeddings show why
ReLU fails, because a vector without negative coordinates cannot reach the old embeddings.
"""

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from bctlib.base.style import GENUINE, IMPOSTOR
from companion.figures.drawing import drawn
from companion.figures.model_colours import colour_of
from companion.measure.scores import (
    COORDINATE_EDGES,
    COORDINATES,
    CURVE_PAIRS,
    CURVES,
    MODELS,
    SCORE_EDGES,
    SCORES,
)
from companion.pairs import LOWER_BOUND, Pair
from companion.tables.cells import View

PAIRS: tuple[Pair, ...] = (("old", "old"), ("new*", "old"), ("new-bct", "old"), ("new*", "new*"))


FAILURES = "failure_scores"
HIGHEST_SHARE = 6.0
"""Per cent of the coordinates at which the axis of `plot_coordinates` ends."""
FAILURE_PAIRS: tuple[Pair, ...] = (
    LOWER_BOUND,
    ("new-bct", "old"),
    ("new-relu", "old"),
    ("new-from-softmax", "old-softmax"),
)
"""Pairs that fail in Table 3, next to pairs that work."""


def plot_scores(view: View, pairs: tuple[Pair, ...] = PAIRS, table: str = SCORES) -> Figure:
    """Cosines of genuine and impostor template pairs, one panel per (query model, gallery model); first seed.

    If the two distributions overlap, no threshold separates them. table: the table of results, and the figure's name.
    The panel of a pair whose training diverged is empty. Raises as `View.rows` does.
    """
    rows = view.first_seed(table)
    width = SCORE_EDGES[1] - SCORE_EDGES[0]
    with drawn(view.scale, table, height=2.0, ncols=len(pairs), sharey=True, sharex=True) as (figure, axes):
        for ax, pair in zip(axes, pairs, strict=True):
            here = rows[(rows["query_model"] == pair[0]) & (rows["gallery_model"] == pair[1])]
            for metric, colour in (("impostor", IMPOSTOR), ("genuine", GENUINE)):
                bins = here[here["metric"] == metric]
                centres = bins["operating_point"].astype(float).to_numpy()
                ax.bar(centres, bins["value"].to_numpy(), width, color=colour, alpha=0.6, label=metric)
            ax.set(xlabel="cosine", xticks=np.linspace(-0.5, 1, 4), xlim=(-0.6, 1.0))
            ax.set_title(view.text(pair).replace(", ", ",\n"))
        axes[0].set(ylabel="share of pairs (%)", yscale="log", ylim=(1e-3, None))
        axes[-1].legend()
        figure.suptitle(f"seed {rows['seed'].iloc[0]}", fontsize=8)
    return figure


def plot_curves(view: View) -> Figure:
    """ROC (left: TAR against FAR) and DET (right: misses against false positives, open-set search); first seed.

    Both axes of the DET are logarithmic. Raises as `View.rows` does.
    """
    rows = view.first_seed(CURVES)
    with drawn(view.scale, CURVES, height=3.0, ncols=2) as (figure, axes):
        for pair, style in zip(CURVE_PAIRS, ("--", "-", "-", ":"), strict=True):
            here = rows[(rows["query_model"] == pair[0]) & (rows["gallery_model"] == pair[1])]
            for ax, metric in zip(axes, ("TAR@FAR", "FNIR@FPIR"), strict=True):
                curve = here[here["metric"] == metric]
                rates = curve["operating_point"].astype(float)
                ax.plot(rates, curve["value"], style, color=colour_of(pair[0]), label=view.text(pair))
        axes[0].set(xscale="log", xlabel="false accept rate", ylabel="true accept rate (%)", title="1:1, ROC")
        axes[1].set(xscale="log", yscale="log", xlabel="false positive identification rate",
                    ylabel="false negative identification rate (%)", title="1:N, DET")  # fmt: skip
        axes[0].legend()
        figure.suptitle(f"seed {rows['seed'].iloc[0]}", fontsize=8)
    return figure


def plot_failure_scores(view: View) -> Figure:
    """`plot_scores` for the pairs that fail in Table 3."""
    return plot_scores(view, FAILURE_PAIRS, FAILURES)


def plot_coordinates(view: View) -> Figure:
    """Histogram of the coordinates of unit embeddings, one panel per model; first seed.

    A bin above `HIGHEST_SHARE`, such as a ReLU's zeros, is cut there and its share is written beside it. The panel of a
    model whose training diverged is empty. Raises as `View.rows` does.
    """
    rows = view.first_seed(COORDINATES)
    rows = rows[rows["metric"] == "coordinate"]
    with drawn(view.scale, "coordinates", height=1.9, ncols=len(MODELS), sharex=True, sharey=True) as (figure, axes):
        for ax, model in zip(axes, MODELS, strict=True):
            bins = rows[rows["query_model"] == model]
            centres, shares = (bins[column].astype(float).to_numpy() for column in ("operating_point", "value"))
            ax.axvline(0, color="0.4", linewidth=0.8, zorder=0)
            ax.bar(centres, shares, COORDINATE_EDGES[1] - COORDINATE_EDGES[0], color=colour_of(model))
            if shares.size and shares.max() > HIGHEST_SHARE:
                text = f"{shares.max():.0f} % in the\nbin of zero"
                ax.annotate(text, (0, 0.97), (6, 0), ax.get_xaxis_transform(), textcoords="offset points",
                            ha="left", va="top", fontsize=6)  # fmt: skip
            ax.set(title=view.name(model), xlabel="coordinate of the unit embedding", ylim=(0, HIGHEST_SHARE))
        axes[0].set_ylabel("share of coordinates (%)")
        figure.supxlabel(f"seed {rows['seed'].iloc[0]}", fontsize=6, x=0.98, ha="right")
    return figure


def coordinate_table(view: View) -> pd.DataFrame:
    """Per model: share of negative coordinates, and the best cosine with a vector that has none."""
    cells = view.cells(COORDINATES)
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
