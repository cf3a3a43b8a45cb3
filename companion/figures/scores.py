"""Why independent models fail: genuine and impostor scores of several pairs of models."""

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure

from companion.pairs import LOWER_BOUND, Pair, pairs_at
from companion.results import load_rows
from companion.measure.scores import EDGES, TABLE
from companion.tables.cells import first_seed, pair_text
from bctlib.base.style import GENUINE, IMPOSTOR, STYLE, new_figure, save_figure

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
    scale: str, pairs: tuple[Pair, ...] = PAIRS, device: str | None = None, table: str = TABLE, lam: float = 1.0
) -> Figure:
    """Cosines of genuine and impostor template pairs, one panel per (query model, gallery model); first seed.

    Where the two distributions cover each other no threshold can tell who is who. table: where they
    are kept, and the figure's name. lam: of the run whose models are compared. The panel of a pair whose training
    diverged is empty. Raises BctError where nothing was measured at this lambda.
    """
    pairs = pairs_at(pairs, lam)
    rows = first_seed(load_rows(scale, table, device), pairs, table, lam)
    width = EDGES[1] - EDGES[0]
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
