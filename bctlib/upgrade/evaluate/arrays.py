"""Evaluation on your own arrays: labelled pairs (1:1), searches by identity (1:N), and Market-1501.

Market-1501 gives mAP by both definitions and CMC; junk and gallery images of the query's own camera are left out.
"""

from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path

import numpy as np

from bctlib.base.errors import BctError
from bctlib.data.paper.market1501 import PUBLISHED, Market1501Labels
from bctlib.metrics.identification import search
from bctlib.metrics.retrieval import rank_gallery
from bctlib.metrics.verification import pair_scores
from bctlib.upgrade.evaluate.comparisons import (
    CMC_RANKS,
    FARS,
    FPIRS,
    RANKS,
    Sides,
    backfill_over,
    cmc_curve,
    compared,
    identification_curve,
    identification_rows,
    open_sides,
    retrieval_rows,
    verification_curve,
    verification_rows,
)
from bctlib.upgrade.evaluate.inputs import (
    FeatureSource,
    faults_named,
    of_one_kind,
    open_features,
    read_identities,
    read_pairs,
)
from bctlib.upgrade.evaluate.result import Report

DIRECTION = "the first model on the queries, the second on the gallery"


def _by_side(*features: FeatureSource | None) -> dict[str, FeatureSource | None]:
    """The six keywords of the evaluations, in the order and by the names of `Sides`."""
    return dict(zip((each.name for each in fields(Sides)), features, strict=True))


def evaluate_pairs(
    pairs: np.ndarray | str | Path,
    query_features: FeatureSource,
    gallery_features: FeatureSource | None = None,
    *,
    old_query_features: FeatureSource | None = None,
    new_gallery_features: FeatureSource | None = None,
    paragon_query_features: FeatureSource | None = None,
    paragon_gallery_features: FeatureSource | None = None,
    far: Sequence[float] = FARS,
    rule: str = "strict",
    curves: bool = False,
) -> Report:
    """TAR at each FAR over listed pairs (query row, gallery row, label); rows count from 0, label 1 is genuine.

    pairs: int [p, 3], a .npy file of it, or a text file of such lines. query_features: of the new model [a, d];
    gallery_features: of the old one [b, d]; without it the new model is tested with itself. The other
    features are as for `evaluate_market1501`; where both columns count the rows of one list, give the same file for
    query and gallery of a model. Raises BctError naming the file, and line or row, of an input that does not fit.
    """
    report = Report(
        "pairs", rule, "the first model on the first row of a pair, the second on the second row",
        settings={"far": list(far)},
    )  # fmt: skip
    query = open_features("query_features", query_features)
    gallery = open_features("gallery_features", gallery_features) or query
    shape = len(query.array), len(gallery.array), f"row of {query.label}", f"row of {gallery.label}"
    sources = _by_side(
        query_features, gallery_features, old_query_features, new_gallery_features, paragon_query_features,
        paragon_gallery_features,
    )  # fmt: skip
    sides = open_sides(sources, *shape)
    report.add_inputs(*sides)
    first, second, genuine, record = read_pairs(pairs, *shape[:2])
    report.inputs.append(record)
    with report.timed("1:1"), faults_named(*sides):
        for pair in compared(report, sides):
            scores = pair_scores(pair.query, first, pair.gallery, second)
            report.measurements += verification_rows(pair.models, scores[genuine], scores[~genuine], far, rule)
            if curves:
                report.curves.append(verification_curve(pair.models, scores[genuine], scores[~genuine]))
    report.add_verdicts()
    return report


def evaluate_search(
    query_features: FeatureSource,
    gallery_features: FeatureSource,
    query_identity: np.ndarray | str | Path,
    gallery_identity: np.ndarray | str | Path,
    *,
    old_query_features: FeatureSource | None = None,
    new_gallery_features: FeatureSource | None = None,
    paragon_query_features: FeatureSource | None = None,
    paragon_gallery_features: FeatureSource | None = None,
    fpir: Sequence[float] = FPIRS,
    ranks: Sequence[int] = RANKS,
    rule: str = "strict",
    curves: bool = False,
) -> Report:
    """TPIR at each FPIR and rank-k of query rows searched in the gallery; with new_gallery_features also backfill.

    query_features: of the new model [q, d]; gallery_features: of the old one [n, d]. query_identity [q] and
    gallery_identity [n]: integers or strings, arrays, .npy files or text files with one on each line; a query whose
    identity is not in the gallery is a non-mated search, and without any only rank-k is defined. The other features
    are as for `evaluate_market1501`. Raises BctError naming the file, and line or row, of an input that does not fit.
    """
    report = Report("search", rule, DIRECTION, settings={"fpir": list(fpir), "ranks": list(ranks)})
    wanted, record = read_identities("query_identity", query_identity)
    enrolled, other = read_identities("gallery_identity", gallery_identity)
    report.inputs += [record, other]
    sources = _by_side(
        query_features, gallery_features, old_query_features, new_gallery_features, paragon_query_features,
        paragon_gallery_features,
    )  # fmt: skip
    names = record["path"] or record["name"], other["path"] or other["name"]
    places = f"identity of {names[0]}", f"identity of {names[1]}"
    sides = open_sides(sources, len(wanted), len(enrolled), *places)
    report.add_inputs(*sides)
    wanted, enrolled = of_one_kind(wanted, enrolled, names)
    mated = np.isin(wanted, enrolled)
    if not mated.any():
        raise BctError(f"no {places[0]} occurs among the identities of the gallery: nothing can be found")
    if mated.all():
        report.notes.append("every query has a mate in the gallery: TPIR@FPIR is undefined, rank-k is shown")
    with report.timed("1:N"), faults_named(*sides):
        for pair in compared(report, sides):
            result = search(pair.query, wanted, pair.gallery, enrolled)
            report.measurements += identification_rows(pair.models, {"": result}, fpir, ranks, rule)
            if curves and not mated.all():
                report.curves.append(identification_curve(pair.models, [result]))
        if sides.new_gallery is not None and not mated.all():
            galleries = [(sides.gallery.array, sides.new_gallery.array, enrolled)]
            report.backfill = backfill_over(sides.query.array, wanted, galleries, fpir, rule)
    report.add_verdicts()
    return report


def evaluate_market1501(
    query_features: FeatureSource,
    gallery_features: FeatureSource,
    query_labels: Market1501Labels,
    gallery_labels: Market1501Labels,
    *,
    old_query_features: FeatureSource | None = None,
    new_gallery_features: FeatureSource | None = None,
    paragon_query_features: FeatureSource | None = None,
    paragon_gallery_features: FeatureSource | None = None,
    ranks: Sequence[int] = CMC_RANKS,
    curves: bool = False,
) -> Report:
    """Table 5 for features of the query and gallery images.

    query_features: of the new model [q, d]; gallery_features: of the old one [n, d]; arrays or .npy files, d may
    differ. query_labels, gallery_labels: (identity, camera), int [q] and [n] each, in the order of the rows
    (`labels_of_names` reads them from file names). old_query_features and new_gallery_features give old/old with the
    verdict, new/new and the reverse direction old/new; the paragon's two give the update gain. ranks: of CMC.
    Gallery images of identity -1 are ignored, of identity 0 kept; per query those of its identity and camera are
    dropped. Raises BctError naming the file and row of an input that does not fit.
    """
    report = Report("Market-1501", "ties against the match", DIRECTION, settings={"ranks": list(ranks)})
    counts = {"query": len(query_labels.identity), "gallery": len(gallery_labels.identity)}
    for part, n in counts.items():
        if n != PUBLISHED[part]:
            report.notes.append(f"{n:,} {part} images: the published Market-1501 has {PUBLISHED[part]:,}")
    sources = _by_side(
        query_features, gallery_features, old_query_features, new_gallery_features, paragon_query_features,
        paragon_gallery_features,
    )  # fmt: skip
    sides = open_sides(sources, counts["query"], counts["gallery"], "query image", "gallery image")
    report.add_inputs(*sides)
    with report.timed("re-identification"), faults_named(*sides):
        for pair in compared(report, sides, reverse=True):
            found = rank_gallery(
                pair.query, query_labels.identity, pair.gallery, gallery_labels.identity, query_labels.camera,
                gallery_labels.camera,
            )  # fmt: skip
            report.measurements += retrieval_rows(pair.models, found, ranks)
            if curves:
                report.curves.append(cmc_curve(pair.models, found))
    report.add_verdicts()
    return report
