"""Histograms and curves of scores, saved as results so that the figures need no models.

Genuine and impostor scores show why independent models are incompatible; coordinates of embeddings show why a ReLU on
the new embedding breaks compatibility (Table 3).
"""

import numpy as np

from bctlib.metrics.identification import tpir_over_galleries
from bctlib.metrics.verification import tar_at_far
from bctlib.models import with_lambda
from companion.measure.run import train_missing
from companion.measure.templates import pair_scores, searches
from companion.pairs import Pair, pairs_at
from companion.results import save_rows
from companion.workbench import Workbench

SCORES = "score_distributions"
SCORE_EDGES = np.linspace(-1, 1, 101)


def save_score_distributions(bench: Workbench, pairs: tuple[Pair, ...], table: str = SCORES, lam: float = 1.0) -> None:
    """Histogram the cosines of all genuine and impostor template pairs of the 1:1 protocol, 100 bins over [-1, 1].

    One row per bin that is not empty: metric `genuine` or `impostor`, operating point the bin's centre, value the
    share of pairs in it in per cent, n_behind the number of pairs. table: the table they are saved in. lam: lambda of
    the run whose models are compared; a pair whose training diverges is reported and omitted.
    """
    protocols = bench.protocols()
    centres = (SCORE_EDGES[:-1] + SCORE_EDGES[1:]) / 2
    rows, pairs = [], pairs_at(pairs, lam)
    diverged = train_missing(bench, tuple(dict.fromkeys(name for pair in pairs for name in pair)))
    for query, gallery in (pair for pair in pairs if not diverged & {*pair}):
        scores = pair_scores(protocols, *bench.pair_features(query, gallery), keep=None)
        about = bench.about(query, gallery)
        for metric, values in (("genuine", scores.genuine), ("impostor", scores.impostor)):
            counts, _ = np.histogram(np.clip(values, -1, 1), SCORE_EDGES)
            rows += [
                about | {
                    "protocol": "verification", "metric": metric, "operating_point": centre,
                    "value": 100 * count / len(values), "n_behind": len(values),
                }
                for centre, count in zip(centres, counts, strict=True)
                if count
            ]  # fmt: skip
    save_rows(rows, bench.scale, table)


CURVES = "curves"
CURVE_PAIRS: tuple[Pair, ...] = (("old", "old"), ("new-bct", "old"), ("new-bct-sys", "old"), ("new*", "new*"))
RATES = {"verification": np.logspace(-6, 0, 49), "identification": np.logspace(-3, 0, 25)}
"""Eight rates a decade at which curves are saved: FAR and FPIR."""


def save_curves(bench: Workbench, lam: float = 1.0) -> None:
    """Save ROC (TAR against FAR) and DET (FNIR against FPIR, open-set) of CURVE_PAIRS, in per cent, at RATES.

    n_behind: impostor pairs, or searches without a mate; a rate that allows none of them is omitted. lam: lambda of the
    run whose models are compared; a pair whose training diverges is reported and omitted.
    """
    protocols, rows, pairs = bench.protocols(), [], pairs_at(CURVE_PAIRS, lam)
    diverged = train_missing(bench, tuple(dict.fromkeys(name for pair in pairs for name in pair)))
    for query, gallery in (pair for pair in pairs if not diverged & {*pair}):
        features, about = bench.pair_features(query, gallery), bench.about(query, gallery)
        scores, found = pair_scores(protocols, *features, keep=None), searches(protocols, *features)
        n_nonmated = min(len(each.nonmated_best) for each in found)
        rates = {name: values[values * n >= 1] for (name, values), n in
                 zip(RATES.items(), (len(scores.impostor), n_nonmated), strict=True)}  # fmt: skip
        values = {
            ("verification", "TAR@FAR"): tar_at_far(scores.genuine, scores.impostor, rates["verification"]),
            ("identification", "FNIR@FPIR"): 1 - tpir_over_galleries(found, rates["identification"]),
        }
        behind = {"verification": len(scores.impostor), "identification": n_nonmated}
        for (protocol, metric), curve in values.items():
            rows += [
                about | {
                    "protocol": protocol, "metric": metric, "operating_point": rate, "value": 100 * value,
                    "n_behind": behind[protocol],
                }
                for rate, value in zip(rates[protocol], curve, strict=True)
            ]  # fmt: skip
    save_rows(rows, bench.scale, CURVES)


COORDINATES = "coordinates"
COORDINATE_EDGES = np.linspace(-0.8, 0.8, 161)
MODELS = ("old", "new-bct", "new-relu")


def best_non_negative_cosine(embeddings: np.ndarray) -> np.ndarray:
    """For each embedding [n,d] the highest cosine that any vector without negative coordinates can have with it.

    That vector is the embedding's positive part; the cosine is the norm of this part over the whole norm, float64 [n].
    """
    unit = unit_rows(embeddings)
    return np.linalg.norm(np.maximum(unit, 0), axis=1)


def unit_rows(embeddings: np.ndarray) -> np.ndarray:
    """float64 [n,d], each row divided by its norm; a row of zeros, which a ReLU can produce, stays zero."""
    rows = embeddings.astype(np.float64)
    norms = np.linalg.norm(rows, axis=1, keepdims=True)
    return rows / np.where(norms > 0, norms, 1)


def save_coordinates(bench: Workbench, lam: float = 1.0) -> None:
    """Histogram the coordinates of all unit test embeddings of each model, 160 bins over [-0.8, 0.8].

    Rows: metric `coordinate`, operating point the bin's centre, value the share of coordinates in per cent; `negative`,
    the share below zero; `best non-negative cosine`, mean of `best_non_negative_cosine` times 100. lam: lambda of the
    run whose models are measured; a model whose training diverges is reported and omitted.
    """
    centres = (COORDINATE_EDGES[:-1] + COORDINATE_EDGES[1:]) / 2
    rows, models = [], tuple(with_lambda(name, lam) for name in MODELS)
    diverged = train_missing(bench, models)
    for name in (name for name in models if name not in diverged):
        features, about = bench.features(name), bench.about(name, name)
        unit = unit_rows(features)
        counts, _ = np.histogram(np.clip(unit, COORDINATE_EDGES[0], COORDINATE_EDGES[-1]), COORDINATE_EDGES)
        values = [("coordinate", float(c), 100 * n / unit.size) for c, n in zip(centres, counts, strict=True) if n]
        values.append(("negative", "", 100 * float((unit < 0).mean())))
        values.append(("best non-negative cosine", "", 100 * float(best_non_negative_cosine(features).mean())))
        rows += [
            about | {
                "protocol": "test images", "metric": metric, "operating_point": point, "value": value,
                "n_behind": len(unit),
            }
            for metric, point, value in values
        ]  # fmt: skip
    save_rows(rows, bench.scale, COORDINATES)
