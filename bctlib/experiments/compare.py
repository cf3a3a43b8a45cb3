"""Measures of one pair of models: query model against gallery model, every operating point of Tables 7 to 9."""

from dataclasses import dataclass

import numpy as np

from bctlib.data.protocols import GlyphProtocols
from bctlib.experiments.workbench import Workbench
from bctlib.features.templates import template_embeddings
from bctlib.metrics.compatibility import strict_criterion
from bctlib.metrics.identification import identification_points, rank_k_over_galleries, search
from bctlib.metrics.verification import VerificationScores, verification_points, verification_scores

FARS = (1e-6, 1e-5, 1e-4, 1e-3, 1e-2)
"""The paper's four (Table 8) and, because there are enough impostor pairs, 1e-6."""
FPIRS = (1e-3, 1e-2, 1e-1)
RANKS = (1, 5)
DISTINCT = " (no look-alikes)"
"""Ends the protocol's name in the variant without identities that have a close double."""


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
    part also the strict criterion (Eq. 1) and the variant without look-alikes.
    """
    features = bench.pair_features(query, gallery, part)
    protocols = bench.protocols(part)
    rows = [*verification(protocols, *features), *identification(protocols, *features)]
    if part == "test":
        rows += verification(bench.distinct, *features, DISTINCT) + identification(bench.distinct, *features, DISTINCT)
        rows += strict(protocols, *features)
    return rows


def pair_scores(protocols: GlyphProtocols, query: np.ndarray, gallery: np.ndarray) -> VerificationScores:
    """Cosines of all first (query features) with all second templates (gallery features)."""
    first, second = protocols.verification.first, protocols.verification.second
    return verification_scores(
        template_embeddings(query, first), first.identity,
        template_embeddings(gallery, second), second.identity, keep=max(FARS),
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


def strict(protocols: GlyphProtocols, query: np.ndarray, gallery: np.ndarray) -> list[Measurement]:
    """Share of the constraints of Eq. 1 kept, over all pairs of second templates embedded by both models."""
    templates = protocols.verification.second
    kept = strict_criterion(
        template_embeddings(query, templates), template_embeddings(gallery, templates), templates.identity
    )
    shares = (("different", kept.different_kept, kept.n_different), ("same", kept.same_kept, kept.n_same))
    return [Measurement("strict criterion", "constraints kept", kind, 100 * share, n) for kind, share, n in shares]
