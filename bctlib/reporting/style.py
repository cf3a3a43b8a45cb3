"""One look for all figures, and one way to save them."""

import matplotlib.pyplot as plt
import seaborn as sns
from matplotlib.figure import Figure

from bctlib.files import replace_atomically
from bctlib.locations import figures_dir

COLUMN, TEXT = 3.25, 6.875
"""Width of a column and of the text of a CVPR paper, inches."""

_PALETTE = sns.color_palette("colorblind")
COLOURS = {
    "old": _PALETTE[7], "new*": _PALETTE[0], "new-l2": _PALETTE[1], "new-lwf": _PALETTE[5],
    "new-bct": _PALETTE[2], "new-bct-kd": _PALETTE[4], "new-bct-sys": _PALETTE[3],
    "new-relu": _PALETTE[8],
}  # fmt: skip
MARKERS = {"new-l2": "s", "new-bct": "o"}
PARAGON_COLOUR = _PALETTE[2]
GENUINE, IMPOSTOR = _PALETTE[2], _PALETTE[3]

STYLE = {
    "font.size": 8, "axes.titlesize": 8, "axes.labelsize": 8, "legend.fontsize": 7, "xtick.labelsize": 7,
    "ytick.labelsize": 7, "pdf.fonttype": 42, "savefig.dpi": 200, "axes.spines.top": False,
    "axes.spines.right": False, "legend.frameon": False, "figure.constrained_layout.use": True,
}  # fmt: skip

# Kanji need a typeface that has them; figures draw identities as pictures, so that none has to be installed.


def sequence(n: int) -> list:
    """n colours in an order that the eye sees, also in grey, from dark to light."""
    return sns.color_palette("viridis", n)


def new_figure(width: float = TEXT, height: float = 2.6, **subplots) -> tuple[Figure, object]:
    """A figure and its axes in the house style; sizes in inches."""
    with plt.rc_context(STYLE):
        return plt.subplots(figsize=(width, height), **subplots)


def save_figure(figure: Figure, scale: str, name: str) -> Figure:
    """Write `figures/<scale>/<name>.pdf` and `.png`, byte-equal for the same versions; gives the figure back."""
    folder = figures_dir() / scale
    with plt.rc_context(STYLE):
        for kind, metadata in (("pdf", {"CreationDate": None}), ("png", {"Software": None})):
            replace_atomically(
                folder / f"{name}.{kind}",
                lambda path, kind=kind, metadata=metadata: figure.savefig(path, format=kind, metadata=metadata),
            )
    plt.close(figure)
    return figure
