"""IJB-C from image features: 1:1 over its list of pairs, 1:N over its two galleries, backfill."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from bctlib.data.paper.ijbc import FILES, GALLERIES, IjbcMeta, read_ijbc_meta
from bctlib.data.templates import templates_by_media
from bctlib.metrics.identification import search
from bctlib.metrics.verification import pair_scores
from bctlib.upgrade.evaluate.comparisons import (
    FARS,
    FPIRS,
    RANKS,
    Comparison,
    Sides,
    backfill_over,
    compared,
    identification_curve,
    identification_rows,
    verification_curve,
    verification_rows,
)
from bctlib.upgrade.evaluate.inputs import Features, FeatureSource, faults_named, open_features
from bctlib.upgrade.evaluate.result import BackfillCurve, Report

DIRECTION = "the first model on the first template and the probes, the second on the second template and the galleries"


def evaluate_ijbc(
    meta: IjbcMeta | str | Path,
    query_features: FeatureSource,
    gallery_features: FeatureSource | None = None,
    paragon_features: FeatureSource | None = None,
    *,
    far: Sequence[float] = FARS,
    fpir: Sequence[float] = FPIRS,
    ranks: Sequence[int] = RANKS,
    rule: str = "strict",
    normalise_images: bool = False,
    detector_score: bool = True,
    halves: bool = False,
    curves: bool = False,
) -> Report:
    """Tables 1, 2 and 7 to 9 on IJB-C for features of its images.

    meta: the meta/ folder, or the result of `read_ijbc_meta`. The features are arrays [images, d] or .npy files,
    one row per line of ijbc_face_tid_mid.txt; d may differ between models (the first elements of the wider are used).
    query_features: of the new model; alone, it is tested with itself. gallery_features: of the old model, which
    gives new/old, old/old, new/new, the verdict of Eq. 2 for each measure, and the curve of partial backfill.
    paragon_features: of the independently trained new model (new*), for the update gain of Eq. 9.
    far, fpir, ranks: operating points. rule: "strict" or "nearest". normalise_images, detector_score, halves: N, D
    and F of the benchmark, as `templates_by_media` explains them. curves: also the points of ROC and DET.
    Raises BctError naming the file, and line or row, of an input that does not fit.
    """
    report = Report("IJB-C", rule, DIRECTION, settings={
        "far": list(far), "fpir": list(fpir), "ranks": list(ranks), "normalise_images": normalise_images,
        "detector_score": detector_score, "halves": halves,
    })  # fmt: skip
    with report.timed("metadata"):
        meta = meta if isinstance(meta, IjbcMeta) else read_ijbc_meta(meta)
    report.inputs = [
        {"name": key, "path": str(meta.folder / FILES[key]), "sha256": digest} for key, digest in meta.sha256.items()
    ]
    if note := meta.differs_from_published():
        report.notes.append(note)
    given = {"new": ("query_features", query_features), "old": ("gallery_features", gallery_features),
             "new*": ("paragon_features", paragon_features)}  # fmt: skip
    opened = {
        model: features
        for model, (name, source) in given.items()
        if (features := open_features(name, source, len(meta.image_name), f"image of {FILES['images']}")) is not None
    }
    report.add_inputs(*opened.values())
    meta.check_searches()
    with faults_named(*opened.values()):
        with report.timed("templates"):
            pooled = {
                model: Features(model, _pool(meta, features, normalise_images, detector_score, halves))
                for model, features in opened.items()
            }
        new, old, paragon = (pooled.get(model) for model in given)
        for pair in compared(report, Sides(new, old, old, new, paragon, paragon)):
            _measure(report, meta, pair, (far, fpir, ranks), rule, curves)
        if old:
            with report.timed("backfill"):
                report.backfill = _backfill(meta, new.array, old.array, fpir, rule)
    report.add_verdicts()
    return report


def _pool(meta: IjbcMeta, features: Features, normalise_images: bool, detector_score: bool, halves: bool) -> np.ndarray:
    weight = meta.detector_score if detector_score else None
    return templates_by_media(
        features.array, meta.image_template, meta.image_medium, len(meta.template_id), weight, normalise_images, halves
    )


def _measure(report: Report, meta: IjbcMeta, pair: Comparison, points, rule: str, curves: bool) -> None:
    far, fpir, ranks = points
    with report.timed("1:1"):
        scores = pair_scores(pair.query, meta.pair_first, pair.gallery, meta.pair_second)
        genuine, impostor = scores[meta.pair_genuine], scores[~meta.pair_genuine]
        report.measurements += verification_rows(pair.models, genuine, impostor, far, rule)
    with report.timed("1:N"):
        probes, probe_subject = meta.lists["probes"]
        results = {}
        for gallery in GALLERIES:
            enrolled, subject = meta.lists[gallery]
            results[gallery] = search(pair.query[probes], probe_subject, pair.gallery[enrolled], subject)
        report.measurements += identification_rows(pair.models, results, fpir, ranks, rule)
    if curves:
        with report.timed("curves"):
            report.curves.append(verification_curve(pair.models, genuine, impostor))
            report.curves.append(identification_curve(pair.models, results.values()))


def _backfill(meta: IjbcMeta, new: np.ndarray, old: np.ndarray, fpir: Sequence[float], rule: str) -> BackfillCurve:
    probes, wanted = meta.lists["probes"]
    galleries = ((old[enrolled], new[enrolled], subject) for enrolled, subject in map(meta.lists.get, GALLERIES))
    return backfill_over(new[probes], wanted, galleries, fpir, rule)
