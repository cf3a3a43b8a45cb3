"""Measures of one pair of models: query model against gallery model, every operating point of Tables 7 to 9."""

from dataclasses import dataclass

import numpy as np

from bctlib.base.errors import UsageError
from bctlib.data.paper.ijbc import IjbcProtocols
from bctlib.data.protocols import GlyphProtocols
from bctlib.data.templates import template_embeddings
from bctlib.metrics.compatibility import strict_criterion
from bctlib.metrics.identification import identification_points, rank_k_over_galleries, search
from bctlib.metrics.verification import VerificationScores, verification_points, verification_scores
from bctlib.metrics.verification import pair_scores as listed_scores
from bctlib.upgrade.evaluate import evaluate_ijbc
from companion.results import DISTINCT
from companion.workbench import Workbench

FARS = (1e-6, 1e-5, 1e-4, 1e-3, 1e-2)
"""The paper's four (Table 8) and, because there are enough impostor pairs, 1e-6."""
FPIRS = (1e-3, 1e-2, 1e-1)
RANKS = (1, 5)


@dataclass(frozen=True)
class Measurement:
    """value: in per cent, as the paper prints. n_behind: impostor pairs, non-mated or mated searches behind it."""

    protocol: str
    metric: str
    operating_point: float | str
    value: float
    n_behind: int


def compare(bench: Workbench, query: str, gallery: str, part: str = "test") -> list[Measurement]:
    """Every measure of (query model, gallery model), by the paper's rule (Sec. 3.3).

    The query model embeds first templates and probes, the gallery model second templates and galleries. On the test
    part also the strict criterion (Eq. 1) and, of glyphs, the variant without look-alikes. Raises UsageError for a
    workbench of persons, whose protocol is another.
    """
    protocols = bench.protocols(part)
    if not isinstance(protocols, GlyphProtocols | IjbcProtocols):
        raise UsageError("persons have no templates: they are measured by re-identification (table5)")
    features = bench.pair_features(query, gallery, part)
    if isinstance(protocols, IjbcProtocols):
        return ijbc(protocols, *features)
    rows = [*verification(protocols, *features), *identification(protocols, *features)]
    if part == "test":
        rows += verification(bench.distinct, *features, DISTINCT) + identification(bench.distinct, *features, DISTINCT)
        rows += strict(protocols, *features)
    return rows


def ijbc(protocols: IjbcProtocols, query: np.ndarray, gallery: np.ndarray) -> list[Measurement]:
    """The benchmark's evaluation (`evaluate_ijbc`) of image features, under the names that results have here.

    Every operating point is there, whatever the number of impostors. The strict criterion is over all probes.
    """
    report = evaluate_ijbc(protocols.meta, query, gallery, far=FARS, fpir=FPIRS, ranks=RANKS)
    found = [m for m in report.measurements if (m.query_model, m.gallery_model) == ("new", "old")]
    n_nonmated = min(m.n_negatives for m in found if m.metric == "TPIR")
    rows = []
    for each in found:
        if each.metric == "TAR":
            names = ("verification", "TAR@FAR", each.point, 100 * each.value, each.n_negatives)
        elif each.metric == "TPIR" and each.gallery == "mean":
            names = ("identification", "TPIR@FPIR", each.point, 100 * each.value, n_nonmated)
        elif each.metric == "rank":
            names = ("identification", "rank", each.point, 100 * each.value, each.n_positives)
        else:
            continue
        rows.append(Measurement(*names))
    return rows + strict(protocols, query, gallery)


def pair_scores(
    protocols: GlyphProtocols | IjbcProtocols, query: np.ndarray, gallery: np.ndarray, keep: float | None = max(FARS)
) -> VerificationScores:
    """Cosines of first templates (query features) with second ones (gallery features): of all, or of IJB-C's pairs.

    keep: the highest FAR that will be asked of the impostor scores (None keeps all).
    """
    if isinstance(protocols, IjbcProtocols):
        pairs = protocols.verification
        templates = (template_embeddings(each, pairs.templates) for each in (query, gallery))
        scores = listed_scores(next(templates), pairs.pair_first, next(templates), pairs.pair_second)
        return VerificationScores(scores[pairs.pair_genuine], scores[~pairs.pair_genuine], pairs.n_impostor)
    first, second = protocols.verification.first, protocols.verification.second
    return verification_scores(
        template_embeddings(query, first), first.identity,
        template_embeddings(gallery, second), second.identity, keep=keep,
    )  # fmt: skip


def verification(protocols: GlyphProtocols, query: np.ndarray, gallery: np.ndarray, variant="") -> list[Measurement]:
    """TAR at each FAR; a FAR with fewer than one impostor pair allowed is left out."""
    scores = pair_scores(protocols, query, gallery)
    fars = [far for far in FARS if far * scores.n_impostors >= 1]
    points = verification_points(scores.genuine, scores.impostor, fars, scores.n_impostors)
    return [
        Measurement("verification" + variant, "TAR@FAR", far, 100 * point.value, scores.n_impostors)
        for far, point in zip(fars, points, strict=True)
    ]


def identification(protocols: GlyphProtocols, query: np.ndarray, gallery: np.ndarray, variant="") -> list[Measurement]:
    """TPIR at each FPIR and rank-k, mean of the two galleries; the probes of one are the non-mated of the other."""
    probes = protocols.identification.probes
    probe_embeddings = template_embeddings(query, probes)
    results = [
        search(probe_embeddings, probes.identity, template_embeddings(gallery, each), each.identity)
        for each in protocols.identification.galleries
    ]
    n_nonmated = min(len(each.nonmated_best) for each in results)
    fpirs = [fpir for fpir in FPIRS if fpir * n_nonmated >= 1]
    per_gallery = [identification_points(e.mate_score, e.mate_rank, e.nonmated_best, fpirs) for e in results]
    rows = [
        Measurement("identification" + variant, "TPIR@FPIR", fpir, 100 * np.mean([p.value for p in points]), n_nonmated)
        for fpir, points in zip(fpirs, zip(*per_gallery, strict=True), strict=True)
    ]
    n_mated = sum(int(each.mated.sum()) for each in results)
    shares = rank_k_over_galleries(results, list(RANKS))
    return rows + [
        Measurement("identification" + variant, "rank", rank, 100 * share, n_mated)
        for rank, share in zip(RANKS, shares, strict=True)
    ]


def strict(protocols: GlyphProtocols | IjbcProtocols, query: np.ndarray, gallery: np.ndarray) -> list[Measurement]:
    """Share of the constraints of Eq. 1 kept, over all pairs of templates of one side, embedded by both models.

    Second templates of glyphs; of IJB-C the probes, because its galleries hold every subject once.
    """
    verification = protocols.verification
    templates = verification.first if isinstance(protocols, IjbcProtocols) else verification.second
    kept = strict_criterion(
        template_embeddings(query, templates), template_embeddings(gallery, templates), templates.identity
    )
    shares = (("different", kept.different_kept, kept.n_different), ("same", kept.same_kept, kept.n_same))
    return [Measurement("strict criterion", "constraints kept", kind, 100 * share, n) for kind, share, n in shares]
