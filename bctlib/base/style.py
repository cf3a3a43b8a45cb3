"""The common style of all figures, and how they are saved."""

from pathlib import Path

import matplotlib.pyplot as plt
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure

from bctlib.base.files import replace_atomically

COLUMN, TEXT = 3.25, 6.875
"""Width of a column and of the text of a CVPR paper, inches."""

# seaborn's colour-blind palette (a test holds it against seaborn's own): importing seaborn takes as long as importing
# pyplot, in every notebook again.
PALETTE = [
    to_rgb(colour)
    for colour in (
        "#0173b2", "#de8f05", "#029e73", "#d55e00", "#cc78bc", "#ca9161", "#fbafe4", "#949494", "#ece133", "#56b4e9",
    )
]  # fmt: skip
COLOURS = {
    "old": PALETTE[7], "new*": PALETTE[0], "new-l2": PALETTE[1], "new-lwf": PALETTE[5],
    "new-bct": PALETTE[2], "new-bct-kd": PALETTE[4], "new-bct-sys": PALETTE[3],
    "new-relu": PALETTE[8],
}  # fmt: skip
MARKERS = {"new-l2": "s", "new-bct": "o"}
PARAGON_COLOUR = PALETTE[2]
GENUINE, IMPOSTOR = PALETTE[2], PALETTE[3]

STYLE = {
    "font.size": 8, "axes.titlesize": 8, "axes.labelsize": 8, "legend.fontsize": 7, "xtick.labelsize": 7,
    "ytick.labelsize": 7, "pdf.fonttype": 42, "savefig.dpi": 200, "axes.spines.top": False,
    "axes.spines.right": False, "legend.frameon": False, "figure.constrained_layout.use": True,
}  # fmt: skip

# Kanji need a typeface that has them; figures draw identities as pictures, so that none has to be installed.


def sequence(n: int) -> list:
    """n colours in an order that the eye sees, also in grey, from dark to light."""
    import seaborn

    return seaborn.color_palette("viridis", n)


def new_figure(width: float = TEXT, height: float = 2.6, **subplots) -> tuple[Figure, object]:
    """A figure and its axes in the house style; sizes in inches."""
    with plt.rc_context(STYLE):
        return plt.subplots(figsize=(width, height), **subplots)


def save_into(figure: Figure, folder: Path, name: str) -> list[Path]:
    """Write FOLDER/NAME.pdf and .png, byte-equal for the same versions, and close the figure; gives the files."""
    paths = []
    with plt.rc_context(STYLE):
        for kind, metadata in (("pdf", {"CreationDate": None}), ("png", {"Software": None})):
            path = folder / f"{name}.{kind}"
            replace_atomically(path, lambda p, k=kind, m=metadata: figure.savefig(p, format=k, metadata=m))
            paths.append(path)
    plt.close(figure)
    return paths
