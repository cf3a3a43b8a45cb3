"""The comparisons that up to six feature files allow, and the measures and curves of one comparison.

`Sides` holds the features of query and gallery items by up to three models; `compared` goes over their comparisons.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, fields

import numpy as np

from bctlib.base.errors import UsageError
from bctlib.metrics import retrieval
from bctlib.metrics.backfill import backfill_curve
from bctlib.metrics.blocks import prefix
from bctlib.metrics.identification import SearchResult, identification_points, rank_k_over_galleries, tpir_at_fpir
from bctlib.metrics.verification import allowed, verification_points
from bctlib.upgrade.evaluate.inputs import Features, FeatureSource, open_features
from bctlib.upgrade.evaluate.result import BackfillCurve, Measurement, Report

FARS = (1e-5, 1e-4, 1e-3, 1e-2)
FPIRS = (1e-3, 1e-2, 1e-1)
RANKS = (1, 5)
CMC_RANKS = (1, 5, 10)
CURVE_POINTS = 200


@dataclass(frozen=True)
class Comparison:
    """Query embeddings of one model against gallery embeddings of another (or the same). Names: old, new, new*."""

    query_model: str
    gallery_model: str
    query: np.ndarray
    gallery: np.ndarray

    @property
    def models(self) -> tuple[str, str]:
        """The names of both models, query first."""
        return self.query_model, self.gallery_model

    def of_one_width(self) -> tuple["Comparison", str]:
        """The comparison with both features cut to the narrower width (first elements, Sec. 3.6), and a note or ""."""
        widths = self.query.shape[1], self.gallery.shape[1]
        if widths[0] == widths[1]:
            return self, ""
        d = min(widths)
        wider = self.query_model if widths[0] > d else self.gallery_model
        query, gallery = (prefix(each, d) if each.shape[1] > d else each for each in (self.query, self.gallery))
        note = f"{self.query_model}/{self.gallery_model}: the first {d} of {max(widths)} dimensions of {wider} are used"
        return Comparison(self.query_model, self.gallery_model, query, gallery), note


def verification_rows(
    models: tuple[str, str],
    genuine: np.ndarray,
    impostor: np.ndarray,
    fars: Iterable[float],
    rule: str,
    n_impostors: int | None = None,
) -> list[Measurement]:
    """TAR at each FAR from the scores [g], [m] of all genuine and impostor pairs; or the m largest of n_impostors."""
    return [
        Measurement(*models, "1:1", "TAR", point.target, "", point.value, point.n_positives, *_behind(point))
        for point in verification_points(genuine, impostor, list(fars), n_impostors, rule)
    ]


def identification_rows(
    models: tuple[str, str], results: dict[str, SearchResult], fpirs: Iterable[float], ranks: Iterable[int], rule: str
) -> list[Measurement]:
    """TPIR at each FPIR, in each gallery and as the mean over them, and rank-k over all mated searches.

    TPIR is left out where there is no non-mated search, because it is undefined.
    """
    rows = []
    for fpir in fpirs if all(len(result.nonmated_best) for result in results.values()) else ():
        points = {
            name: identification_points(each.mate_score, each.mate_rank, each.nonmated_best, [fpir], rule)[0]
            for name, each in results.items()
        }
        rows += [
            Measurement(*models, "1:N", "TPIR", fpir, name, point.value, point.n_positives, *_behind(point))
            for name, point in points.items()
        ]
        if len(points) > 1:
            mean = [float(np.mean([getattr(p, what) for p in points.values()])) for what in ("value", "attained")]
            sums = [sum(getattr(p, w) for p in points.values()) for w in ("n_positives", "n_false", "n_negatives")]
            rows.append(Measurement(*models, "1:N", "TPIR", fpir, "mean", mean[0], sums[0], mean[1], sums[1], sums[2]))
    n_mated = sum(len(result.mate_rank) for result in results.values())
    for k in ranks:
        value = rank_k_over_galleries(list(results.values()), k)
        rows.append(Measurement(*models, "1:N", "rank", k, "", value, n_mated))
    return rows


def retrieval_rows(models: tuple[str, str], ranks: retrieval.PositiveRanks, ks: Iterable[int]) -> list[Measurement]:
    """mAP by both of its definitions, and CMC, over the queries that have a match."""
    n = int(np.count_nonzero(np.diff(ranks.starts)))
    protocol = "re-identification"
    rows = [
        Measurement(*models, protocol, name, None, "", retrieval.mean_average_precision(ranks, interpolation), n)
        for name, interpolation in (("mAP", "step"), ("mAP (trapezoid)", "trapezoid"))
    ]
    return rows + [Measurement(*models, protocol, "CMC", k, "", retrieval.cmc(ranks, k), n) for k in ks]


def verification_curve(models: tuple[str, str], genuine: np.ndarray, impostor: np.ndarray) -> dict:
    """TAR by the strict rule over the whole range of FAR, at points equally spaced in its logarithm."""
    descending = -np.sort(-impostor)
    targets = _rates(len(impostor))
    ks = np.array([allowed(float(target), len(impostor)) for target in targets])
    thresholds = np.append(descending, -np.inf)[ks]
    accepted = len(genuine) - np.searchsorted(np.sort(genuine), thresholds, side="right")
    return _curve(models, "1:1", targets, accepted / len(genuine))


def identification_curve(models: tuple[str, str], results: Iterable[SearchResult]) -> dict:
    """TPIR by the strict rule over the whole range of FPIR, mean over galleries."""
    results = list(results)
    targets = _rates(min(len(result.nonmated_best) for result in results))
    values = [tpir_at_fpir(each.mate_score, each.mate_rank, each.nonmated_best, targets) for each in results]
    return _curve(models, "1:N", targets, np.mean(values, axis=0))


def cmc_curve(models: tuple[str, str], ranks: retrieval.PositiveRanks) -> dict:
    ks = np.arange(1, 51)
    return _curve(models, "CMC", ks, retrieval.cmc(ranks, ks))


def _rates(n: int) -> np.ndarray:
    return np.minimum(np.geomspace(1 / n, 1, CURVE_POINTS), 1.0)


def _curve(models: tuple[str, str], kind: str, x: np.ndarray, y: np.ndarray) -> dict:
    names = {"query_model": models[0], "gallery_model": models[1]}
    return names | {"kind": kind, "x": [float(f"{v:.6g}") for v in x], "y": [float(f"{v:.6g}") for v in y]}


def _behind(point) -> tuple[float, int, int, float]:
    return point.attained, point.n_false, point.n_negatives, point.threshold


@dataclass(frozen=True)
class Sides:
    """Features of the same query items and the same gallery items by up to three models: new, old, and new*.

    query and gallery alone give new/old, query alone new/new of one list of items. old_query adds old/old and with it
    the verdict (Eq. 2); new_gallery adds new/new; both paragon ones add new*/new* and the update gain (Eq. 9).
    """

    query: Features
    gallery: Features | None
    old_query: Features | None = None
    new_gallery: Features | None = None
    paragon_query: Features | None = None
    paragon_gallery: Features | None = None

    def __iter__(self) -> Iterator[Features | None]:
        return (getattr(self, each.name) for each in fields(self))

    def comparisons(self, reverse: bool = False) -> list[Comparison]:
        """All pairs of models that have features; `reverse` adds old/new, as in Table 5."""
        wanted = [
            ("new", "old", self.query, self.gallery),
            ("old", "old", self.old_query, self.gallery),
            ("new", "new", self.query, self.new_gallery),
            ("new*", "new*", self.paragon_query, self.paragon_gallery),
        ]
        if self.gallery is None and self.new_gallery is None:
            wanted.append(("new", "new", self.query, self.query))
        if reverse:
            wanted.append(("old", "new", self.old_query, self.new_gallery))
        return [Comparison(a, b, q.array, g.array) for a, b, q, g in wanted if q is not None and g is not None]


def compared(report: Report, sides: Sides, reverse: bool = False) -> Iterator[Comparison]:
    """Each comparison of the sides in one width; where dimensions are left out, the report gets a note."""
    for comparison in sides.comparisons(reverse):
        pair, note = comparison.of_one_width()
        report.notes += [note] if note else []
        yield pair


def backfill_over(
    query: np.ndarray,
    wanted: np.ndarray,
    galleries: Iterable[tuple[np.ndarray, np.ndarray, np.ndarray]],
    fpirs: Iterable[float],
    rule: str,
) -> BackfillCurve:
    """TPIR of new queries [q, d] while each gallery is backfilled, mean over the galleries.

    wanted: identities [q]. galleries: (old [n, d_old], new [n, d], identities [n]) each; a wider old model is cut to d.
    """
    rates, curves = list(fpirs), []
    for old, new, identities in galleries:
        old = prefix(old, query.shape[1]) if old.shape[1] > query.shape[1] else old
        share, tpir = backfill_curve(query, wanted, old, new, identities, rates, rule=rule)
        curves.append(tpir)
    return BackfillCurve(rates, share.tolist(), np.mean(curves, axis=0).tolist())


def open_sides(
    sources: dict[str, FeatureSource | None], n_query: int, n_gallery: int, query_rows: str, gallery_rows: str
) -> Sides:
    """Open the given features, by the names of Sides; query files must have n_query rows, gallery files n_gallery."""
    if (sources.get("paragon_query") is None) != (sources.get("paragon_gallery") is None):
        raise UsageError("the paragon needs both its query and its gallery features")
    opened = {}
    for name, source in sources.items():
        is_query = name.endswith("query")
        n, rows = (n_query, query_rows) if is_query else (n_gallery, gallery_rows)
        opened[name] = open_features(f"{name}_features", source, n, rows)
    return Sides(**opened)
