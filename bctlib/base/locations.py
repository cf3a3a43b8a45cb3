"""Where data, trained models, results and figures live.

Each folder has a default inside the project and an environment variable that moves it:
`BCT_DATA`, `BCT_PAPER_DATA`, `BCT_STORE`, `BCT_RESULTS`, `BCT_FIGURES`.
"""

import os
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[2]


def _folder(variable: str, default: str) -> Path:
    moved = os.environ.get(variable)
    return Path(moved).expanduser().resolve() if moved else PROJECT / default


def data_dir() -> Path:
    """Glyph sheets (`BCT_DATA`, default `data/`)."""
    return _folder("BCT_DATA", "data")


def paper_data_dir() -> Path:
    """The paper's own data sets, for those who hold them (`BCT_PAPER_DATA`, default `paper/` in the data folder)."""
    return _folder("BCT_PAPER_DATA", str(data_dir() / "paper"))


def store_dir() -> Path:
    """Trained models and their features, by content address (`BCT_STORE`, default `store/`)."""
    return _folder("BCT_STORE", "store")


def results_dir() -> Path:
    """Tidy result tables (`BCT_RESULTS`, default `results/`)."""
    return _folder("BCT_RESULTS", "results")


def figures_dir() -> Path:
    """Figures as PDF and PNG (`BCT_FIGURES`, default `figures/`)."""
    return _folder("BCT_FIGURES", "figures")


def notebooks_dir() -> Path:
    """The numbered notebooks of the companion."""
    return PROJECT / "notebooks"
