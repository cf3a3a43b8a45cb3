"""Measures of one pair of models: query model against gallery model, every operating point of Tables 7 to 9.

The measures are those of `bctlib.upgrade.evaluate`; rows here have the names, the units and the counts of results.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from bctlib.base.errors import UsageError
from bctlib.data.paper.ijbc import GALLERIES, IjbcProtocols
from bctlib.data.protocols import GlyphProtocols
from bctlib.data.templates import template_embeddings
from bctlib.methods.paper import part_of
from bctlib.metrics.compatibility import strict_criterion
from bctlib.metrics.identification import SearchResult, search
from bctlib.metrics.verification import VerificationScores
from bctlib.upgrade.evaluate.comparisons import identification_rows, verification_rows
from companion.curves import CLASSES
from companion.results import DISTINCT
from companion.workbench import Workbench

FARS = (1e-6, 1e-5, 1e-4, 1e-3, 1e-2)
"""The paper's four (Table 8) and, because there are enough impostor pairs, 1e-6."""
FPIRS = (1e-3, 1e-2, 1e-1)
RANKS = (1, 5)
MODELS = ("new", "old")
RULE = "strict"
TRAINING = "training"
"""The protocol of numbers that were counted in training."""


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
    if "faces" not in bench.data.tasks:
        raise UsageError("persons have no templates: they are measured by re-identification (table5)")
    protocols = bench.protocols(part)
    features = bench.pair_features(query, gallery, part)
    rows = verification(protocols, *features) + identification(protocols, *features)
    if part == "test":
        if distinct := bench.distinct:
            rows += verification(distinct, *features, DISTINCT) + identification(distinct, *features, DISTINCT)
        rows += strict(protocols, *features)
    return rows


def compare_and_count(bench: Workbench, query: str, gallery: str, part: str = "test") -> list[Measurement]:
    """`compare`, and the number of the gallery model's classes in the query model's influence loss.

    For a pair of one model that is the number of its classes. n_behind repeats the number.
    """
    classes = len(part_of(bench.model(gallery).classes, bench.recipe(query).options.get("part", 1.0)))
    return [*compare(bench, query, gallery, part), Measurement(TRAINING, CLASSES, "", classes, classes)]


def pair_scores(
    protocols: GlyphProtocols | IjbcProtocols, query: np.ndarray, gallery: np.ndarray, keep: float | None = max(FARS)
) -> VerificationScores:
    """Cosines of first templates (query features) with second ones (gallery features): of all, or of IJB-C's pairs.

    keep: the highest FAR that will be asked of the impostor scores (None keeps all).
    """
    return protocols.verification.scores(query, gallery, keep)


def _points(protocols: GlyphProtocols | IjbcProtocols, rates: Iterable[float], n: int) -> list[float]:
    """The rates that the protocols report with n impostors (see their `every_point`)."""
    return [rate for rate in rates if protocols.every_point or rate * n >= 1]


def verification(
    protocols: GlyphProtocols | IjbcProtocols, query: np.ndarray, gallery: np.ndarray, variant: str = ""
) -> list[Measurement]:
    """TAR at each FAR; of glyphs, a FAR with fewer than one impostor pair allowed is left out."""
    scores = pair_scores(protocols, query, gallery)
    fars = _points(protocols, FARS, scores.n_impostors)
    found = verification_rows(MODELS, scores.genuine, scores.impostor, fars, RULE, scores.n_impostors)
    return [
        Measurement("verification" + variant, "TAR@FAR", each.point, 100 * each.value, scores.n_impostors)
        for each in found
    ]


def identification(
    protocols: GlyphProtocols | IjbcProtocols, query: np.ndarray, gallery: np.ndarray, variant: str = ""
) -> list[Measurement]:
    """TPIR at each FPIR and rank-k, mean of the two galleries; the probes of one are the non-mated of the other."""
    results = dict(zip(GALLERIES, searches(protocols, query, gallery), strict=True))
    n_nonmated = min(len(each.nonmated_best) for each in results.values())
    found = identification_rows(MODELS, results, _points(protocols, FPIRS, n_nonmated), RANKS, RULE)
    protocol = "identification" + variant
    return [
        Measurement(protocol, "TPIR@FPIR", each.point, 100 * each.value, n_nonmated)
        for each in found
        if each.gallery == "mean"
    ] + [
        Measurement(protocol, "rank", each.point, 100 * each.value, each.n_positives)
        for each in found
        if each.metric == "rank"
    ]


def searches(protocols: GlyphProtocols | IjbcProtocols, query: np.ndarray, gallery: np.ndarray) -> list[SearchResult]:
    """The probes (query features) searched in each of the two galleries (gallery features)."""
    probes = protocols.identification.probes
    embeddings = template_embeddings(query, probes)
    return [
        search(embeddings, probes.identity, template_embeddings(gallery, each), each.identity)
        for each in protocols.identification.galleries
    ]


def strict(protocols: GlyphProtocols | IjbcProtocols, query: np.ndarray, gallery: np.ndarray) -> list[Measurement]:
    """Share of the constraints of Eq. 1 kept, over all pairs of templates of one side, embedded by both models.

    That side is the second, or the first where the second holds every identity once, as the galleries of IJB-C do.
    """
    first, second = protocols.verification.first, protocols.verification.second
    templates = second if len(np.unique(second.identity)) < second.size else first
    kept = strict_criterion(
        template_embeddings(query, templates), template_embeddings(gallery, templates), templates.identity
    )
    shares = (("different", kept.different_kept, kept.n_different), ("same", kept.same_kept, kept.n_same))
    return [Measurement("strict criterion", "constraints kept", kind, 100 * share, n) for kind, share, n in shares]
