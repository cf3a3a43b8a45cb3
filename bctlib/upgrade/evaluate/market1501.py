"""Market-1501 from features: mAP by both definitions and CMC, junk and the query's own camera left out."""

import time
from collections.abc import Sequence

from bctlib.data.paper.market1501 import PUBLISHED, Market1501Labels
from bctlib.data.variants import JUNK
from bctlib.upgrade.evaluate.comparisons import CMC_RANKS, cmc_curve, retrieval_rows
from bctlib.upgrade.evaluate.inputs import FeatureSource, faults_named
from bctlib.upgrade.evaluate.four_sides import open_sides
from bctlib.upgrade.evaluate.result import Report
from bctlib.metrics.retrieval import rank_gallery

DIRECTION = "the first model on the queries, the second on the gallery"


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
    dropped. Raises BctError naming the file and row for whatever does not fit.
    """
    report = Report("Market-1501", "ties against the match", DIRECTION, settings={"ranks": list(ranks)})
    counts = {"query": len(query_labels.identity), "gallery": len(gallery_labels.identity)}
    for part, n in counts.items():
        if n != PUBLISHED[part]:
            report.notes.append(f"{n:,} {part} images: the published Market-1501 has {PUBLISHED[part]:,}")
    sources = {
        "query": query_features, "gallery": gallery_features, "old_query": old_query_features,
        "new_gallery": new_gallery_features, "paragon_query": paragon_query_features,
        "paragon_gallery": paragon_gallery_features,
    }  # fmt: skip
    sides = open_sides(sources, counts["query"], counts["gallery"], "query image", "gallery image")
    report.add_inputs(*sides)
    began = time.perf_counter()
    with faults_named(*sides):
        for comparison in sides.comparisons(reverse=True):
            pair, note = comparison.of_one_width()
            report.notes += [note] if note else []
            found = rank_gallery(
                pair.query,
                query_labels.identity,
                pair.gallery,
                gallery_labels.identity,
                query_labels.camera,
                gallery_labels.camera,
                junk=JUNK,
            )
            models = pair.query_model, pair.gallery_model
            report.measurements += retrieval_rows(models, found, ranks)
            if curves:
                report.curves.append(cmc_curve(models, found))
    report.seconds["re-identification"] = time.perf_counter() - began
    report.judge()
    return report
