"""Draw ROC and DET, CMC, and the backfill curve of an evaluation as PDF and PNG."""

from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from bctlib.base.style import COLUMN, STYLE, new_figure, save_into
from bctlib.upgrade.evaluate.result import Report

DASHES = {"new/old": "-", "old/old": "--", "new/new": "-.", "new*/new*": ":", "old/new": (0, (3, 1, 1, 1, 1, 1))}
RATES = {"1:1": ("FAR", "TAR", "verification"), "1:N": ("FPIR", "TPIR", "identification")}


def draw(report: Report, folder: str | Path) -> list[Path]:
    """Draw the curves of the report (`curves=True`) into `folder`; returns the written files."""
    with plt.rc_context(STYLE):  # legends take their look when they are made
        figures = _figures(report)
        return [path for name, figure in figures.items() for path in save_into(figure, Path(folder), name)]


def _figures(report: Report) -> dict[str, Figure]:
    figures: dict[str, Figure] = {}
    for kind, (x_name, y_name, title) in RATES.items():
        curves = [curve for curve in report.curves if curve["kind"] == kind]
        if curves:
            figures[f"roc-{title}"] = roc(curves, x_name, y_name)
            figures[f"det-{title}"] = det(curves, x_name, y_name)
    if cmcs := [curve for curve in report.curves if curve["kind"] == "CMC"]:
        figures["cmc"] = cmc(cmcs)
    if report.backfill:
        figures["backfill"] = backfill(report)
    return figures


def roc(curves: list[dict], x_name: str, y_name: str) -> Figure:
    """Accepted share of positives over that of negatives, the latter on a logarithmic axis."""
    figure, axes = new_figure(COLUMN, 2.6)
    for curve in curves:
        axes.step(curve["x"], curve["y"], where="post", **_look(curve))
    axes.set(xscale="log", xlabel=x_name, ylabel=y_name)
    axes.yaxis.set_major_formatter(PercentFormatter(1, symbol=""))
    axes.set_ylabel(f"{y_name} (%)")
    axes.legend(title="query/gallery")
    return figure


def det(curves: list[dict], x_name: str, y_name: str) -> Figure:
    """Detection error trade-off: the share of positives missed over that of negatives accepted, both logarithmic."""
    figure, axes = new_figure(COLUMN, 2.6)
    for curve in curves:
        missed = 1 - np.array(curve["y"])
        axes.step(curve["x"], np.where(missed > 0, missed, np.nan), where="post", **_look(curve))
    axes.set(xscale="log", yscale="log", xlabel=x_name, ylabel=f"1 - {y_name}")
    axes.legend(title="query/gallery")
    return figure


def cmc(curves: list[dict]) -> Figure:
    """Share of queries with a match among the first k."""
    figure, axes = new_figure(COLUMN, 2.6)
    for curve in curves:
        axes.plot(curve["x"], curve["y"], **_look(curve))
    axes.set(xlabel="rank k", ylabel="CMC (%)")
    axes.yaxis.set_major_formatter(PercentFormatter(1, symbol=""))
    axes.legend(title="query/gallery")
    return figure


def backfill(report: Report) -> Figure:
    """Fig. 3: TPIR of new queries while the gallery goes from old to new, one line for each FPIR."""
    figure, axes = new_figure(COLUMN, 2.6)
    for column, fpir in enumerate(report.backfill.fpir):
        axes.plot(report.backfill.share, np.array(report.backfill.tpir)[:, column], label=f"FPIR = {fpir:g}")
    axes.set(xlabel="gallery subjects backfilled (%)", ylabel="TPIR (%)")
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(PercentFormatter(1, symbol=""))
    axes.legend()
    return figure


def _look(curve: dict) -> dict:
    name = f"{curve['query_model']}/{curve['gallery_model']}"
    return {"label": name, "linestyle": DASHES[name]}
