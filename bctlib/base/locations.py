"""The folders of data, trained models, results and figures.

A checkout holds all of them; an installed copy keeps them in the user's data folder (on Linux `~/.local/share/bctlib`),
never next to the installed code. An environment variable moves each folder: `BCT_DATA`, `BCT_PAPER_DATA`, `BCT_STORE`,
`BCT_RESULTS`, `BCT_FIGURES`.

Only a checkout has the glyph sheets, the committed results and the notebooks.
"""

import os
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[2]
"""The checkout. For an installed copy this is site-packages, where nothing may be written: see `in_checkout`."""


def in_checkout() -> bool:
    """Whether this code is in a checkout, next to `companion/`, and not an installed copy."""
    return (PROJECT / "pyproject.toml").is_file() and (PROJECT / "companion").is_dir()


def _folder(variable: str, default: str) -> Path:
    moved = os.environ.get(variable)
    return Path(moved).expanduser().resolve() if moved else _home() / default


def _home() -> Path:
    if in_checkout():
        return PROJECT
    import platformdirs  # belongs to bctlib[upgrade]; a checkout does not need it

    return Path(platformdirs.user_data_dir("bctlib", appauthor=False))


def data_dir() -> Path:
    """Glyph sheets (`BCT_DATA`, default `data/`)."""
    return _folder("BCT_DATA", "data")


def paper_data_dir() -> Path:
    """The paper's own data sets, which few users have (`BCT_PAPER_DATA`, default `paper/` in the data folder)."""
    return _folder("BCT_PAPER_DATA", str(data_dir() / "paper"))


def store_dir() -> Path:
    """Trained models and their features, by content address (`BCT_STORE`, default `store/`)."""
    return _folder("BCT_STORE", "store")


def shipped_models_dir() -> Path:
    """Trained models that come with a checkout; an installed copy has no such folder."""
    return PROJECT / "models"


def results_dir() -> Path:
    """Tidy result tables (`BCT_RESULTS`, default `results/`)."""
    return _folder("BCT_RESULTS", "results")


def figures_dir() -> Path:
    """Figures as PDF and PNG (`BCT_FIGURES`, default `figures/`)."""
    return _folder("BCT_FIGURES", "figures")


def notebooks_dir() -> Path:
    """The numbered notebooks, which only a checkout has."""
    return PROJECT / "notebooks"
