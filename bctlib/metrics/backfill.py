"""Search accuracy while a gallery is backfilled class by class (Appendix B, Fig. 3), and orders for the backfill.

At any time the first classes of the order have new templates and the others old ones. The best candidate is the larger
of a prefix maximum over the new scores and a suffix maximum over the old ones, both in that order, so a curve with any
number of points costs two searches. The orders use only what an operator knows from the old gallery.
"""

from typing import NamedTuple

import numpy as np

from bctlib.metrics import blocks
from bctlib.metrics.blocks import prefix, ranges, row_blocks, tile_edges, tile_of, unit_rows
from bctlib.metrics.identification import tpir_at_fpir
from bctlib.metrics.verification import common_codes_of


class BackfillSearches(NamedTuple):
    """The searches of all points of a curve.

    share: float64 [p], share of the gallery's classes that are backfilled, 0 to 1. mated: bool [q].
    mate: float32 [q, p], score of the mate (-inf without one); mate_is_new: bool [q, p], whether that is by a new
    template. other_new, other_old: float32 [q, p], highest score of a new and of an old template of another identity
    (-inf where there is none).
    """

    share: np.ndarray
    mated: np.ndarray
    mate: np.ndarray
    mate_is_new: np.ndarray
    other_new: np.ndarray
    other_old: np.ndarray

    @property
    def best_other(self) -> np.ndarray:
        """float32 [q, p], highest score of a template of another identity."""
        return np.maximum(self.other_new, self.other_old)


def backfill_curve(
    probes,
    probe_identity,
    gallery_old,
    gallery_new,
    gallery_identity,
    fpir=1e-2,
    order=None,
    points: int = 51,
    rule: str = "strict",
) -> tuple[np.ndarray, np.ndarray]:
    """TPIR at `fpir` of new probes on one gallery, from no backfill (Eq. 2's situation) to full (the new model alone).

    probes [q, d_new], gallery_new [n, d_new]: embeddings of the new model. gallery_old [n, d_old]: of the old one,
    d_old <= d_new (the probes' prefix is used on it). probe_identity [q], gallery_identity [n]: labels; there must be
    mated and non-mated probes. order: the distinct gallery identities in the order of backfill (default: as they
    first appear). points: 51 measures every 2 %. At each point the threshold is set anew.
    Returns (share backfilled [points], TPIR [points] or, for a list of FPIRs, [points, len(fpir)]).
    Several galleries: average their curves. Raises ValueError on NaN, or on shapes and labels that do not fit.
    """
    searches = backfill_searches(probes, probe_identity, gallery_old, gallery_new, gallery_identity, order, points)
    return searches.share, tpir_along(searches, fpir, rule)


def tpir_along(searches: BackfillSearches, fpir, rule: str = "strict", times=None) -> np.ndarray:
    """TPIR at each point of a curve, float64 [points] or, for a list of FPIRs, [points, len(fpir)].

    times: integer [q], how often each probe is searched where that is not once; a non-mated one counts once.
    """
    mated, best_other = _mated(searches, times), searches.best_other
    curve = [
        tpir_at_fpir(
            searches.mate[mated, point],
            np.where(searches.mate[mated, point] > best_other[mated, point], 1, 2),
            best_other[~searches.mated, point],
            fpir,
            rule,
        )
        for point in range(len(searches.share))
    ]
    return np.array(curve)


def tpir_along_two_thresholds(searches: BackfillSearches, fpir: float, times=None) -> np.ndarray:
    """TPIR at each point, float64 [points], where old and new templates have a threshold of their own.

    Of n non-mated searches at most floor(fpir * share * n) may find a new template above its threshold and
    floor(fpir * (1 - share) * n) an old one, so that FPIR is kept however far the backfill is; candidates are ranked
    by how far they are above. With nothing or everything backfilled this is `tpir_along`. Not in the paper: a mixed
    gallery holds scores of two distributions, and this needs no more than to know which model made a template.
    """
    mated, curve = _mated(searches, times), []
    for point, share in enumerate(searches.share):
        new, old = searches.other_new[:, point], searches.other_old[:, point]
        at_new = _threshold(new[~searches.mated], fpir * share)
        at_old = _threshold(old[~searches.mated], fpir * (1 - share))
        above = searches.mate[mated, point] - np.where(searches.mate_is_new[mated, point], at_new, at_old)
        others = np.maximum(new[mated] - at_new, old[mated] - at_old)
        curve.append(np.mean((above > 0) & (above > others)))
    return np.array(curve)


def _threshold(nonmated: np.ndarray, rate: float) -> float:
    """The score that at most rate * n non-mated searches exceed, inf where there are no candidates at all."""
    if np.isneginf(nonmated).all():
        return np.inf
    allowed = int(np.floor(rate * len(nonmated) + 1e-9))
    return float(np.sort(nonmated)[len(nonmated) - 1 - allowed])


def _mated(searches: BackfillSearches, times) -> np.ndarray:
    """Row numbers of the mated searches, each as often as it is searched."""
    return np.repeat(np.arange(len(searches.mated)), searches.mated if times is None else times * searches.mated)


def backfill_searches(
    probes, probe_identity, gallery_old, gallery_new, gallery_identity, order=None, points: int = 51, itself=None
) -> BackfillSearches:
    """Mate and best other score of every probe at every point of the curve; arguments as for `backfill_curve`.

    itself: integer [q] or None, the gallery row that is the probe's own image, which is then no candidate for it. A
    probe whose identity has no further row gets the mate -inf and is non-mated.
    """
    probes = blocks.feature_matrix("probes", probes)
    gallery_old = blocks.feature_matrix("gallery_old", gallery_old)
    gallery_new = blocks.feature_matrix("gallery_new", gallery_new)
    blocks.same_width("probes", probes, "gallery_new", gallery_new)
    if len(gallery_old) != len(gallery_new) or len(gallery_old) == 0 or len(probes) == 0:
        raise ValueError(
            f"gallery_old, gallery_new: expected the same templates, got {len(gallery_old)} and {len(gallery_new)} "
            f"rows for {len(probes)} probes"
        )
    if points < 2:
        raise ValueError(f"points: expected at least 2, got {points}")
    probe_codes, codes = common_codes_of("probe", probes, probe_identity, "gallery", gallery_new, gallery_identity)
    place = places(codes, np.asarray(gallery_identity), order)
    n_classes = int(place.max()) + 1
    backfilled = np.round(np.linspace(0, 1, points) * n_classes).astype(np.int64)
    by_place = np.argsort(place, kind="stable")
    # Column at which each point's cut falls, in the order of backfill.
    cuts = np.searchsorted(place[by_place], backfilled, side="left")
    place_of_code = np.full(max(codes.max(), probe_codes.max()) + 1, -1)
    place_of_code[codes] = place
    wanted = place_of_code[probe_codes]
    low = np.searchsorted(place[by_place], wanted, side="left")
    high = np.where(wanted < 0, low, np.searchsorted(place[by_place], wanted, side="right"))
    at_itself = np.full(len(probes), -1)  # column of the probe's own image
    if itself is not None:
        at_itself = np.argsort(by_place)[_own_rows(itself, probe_codes, codes)]
    mates = np.full((2, len(probes)), -np.inf, np.float32)  # among the new templates, and among the old
    maxima = np.full((2, points + 1, len(probes)), -np.inf, np.float32)  # of others, between the cuts
    edges = tile_edges(place[by_place], gallery_new.shape[1])
    for start, stop in zip(edges, edges[1:], strict=False):
        new = tile_of(gallery_new, "gallery_new", by_place, start, stop)
        old = tile_of(gallery_old, "gallery_old", by_place, start, stop)
        own = np.clip(low - start, 0, stop - start), np.clip(high - start, 0, stop - start)
        tile_cuts = np.clip(cuts - start, 0, stop - start)
        for block in row_blocks(len(probes), 2 * (stop - start)):
            rows = unit_rows(probes, "probes", block)
            narrow = rows if gallery_old.shape[1] == rows.shape[1] else prefix(rows, gallery_old.shape[1])
            for side, (templates, queries) in enumerate(((new, rows), (old, narrow))):
                # Templates down, probes across: a maximum over templates then runs along contiguous memory.
                scores = templates @ queries.T
                own_image = np.flatnonzero((at_itself[block] >= start) & (at_itself[block] < stop))
                scores[at_itself[block][own_image] - start, own_image] = -np.inf
                found = _take_mates(scores, own[0][block], own[1][block])
                mates[side, block] = np.maximum(mates[side, block], found)
                _raise_segment_maxima(maxima[side, :, block], scores, tile_cuts)
    is_new = wanted[:, None] < backfilled
    mate = np.where(is_new, mates[0][:, None], mates[1][:, None])
    # Before the first cut there is no new template; after the last there is no old one.
    before = np.maximum.accumulate(maxima[0], axis=0)[:-1]
    after = np.maximum.accumulate(maxima[1][::-1], axis=0)[::-1][1:]
    mated = high - low > (at_itself >= 0)
    return BackfillSearches(backfilled / n_classes, mated, mate, is_new, before.T, after.T)


def _own_rows(itself, probe_codes: np.ndarray, codes: np.ndarray) -> np.ndarray:
    itself, n = np.asarray(itself), len(probe_codes)
    if itself.shape != (n,) or itself.dtype.kind not in "iu" or itself.min() < 0 or itself.max() >= len(codes):
        raise ValueError(f"itself: expected for each of {n} probes a gallery row from 0 to {len(codes) - 1}")
    if (codes[itself] != probe_codes).any():
        raise ValueError("itself: expected gallery rows of the probes' own identities")
    return itself


def places(codes: np.ndarray, identities: np.ndarray, order) -> np.ndarray:
    """For each gallery row the place of its identity in the order of backfill."""
    _, first, of_row = np.unique(codes, return_index=True, return_inverse=True)
    if order is None:
        return np.argsort(np.argsort(first))[of_row.reshape(-1)]
    known = identities[first]
    order = np.asarray(order)
    if order.shape != known.shape or not np.array_equal(np.sort(order), np.sort(known)):
        raise ValueError(f"order: expected each of the {len(known)} distinct gallery identities once")
    by_label = np.argsort(order, kind="stable")
    return by_label[np.searchsorted(order[by_label], known)][of_row.reshape(-1)]


def _take_mates(scores: np.ndarray, low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """Highest score in rows low:high of each column (-inf if none), which are then masked in place."""
    at_column, at_row = ranges(low, high)
    mates = np.full(len(low), -np.inf, np.float32)
    np.maximum.at(mates, at_column, scores[at_row, at_column])
    scores[at_row, at_column] = -np.inf
    return mates


def _raise_segment_maxima(maxima: np.ndarray, scores: np.ndarray, cuts: np.ndarray) -> None:
    """Raises maxima [cuts + 1, columns] to those of the rows before, between and after the cuts."""
    edges = [0, *cuts.tolist(), len(scores)]
    for segment, (start, stop) in enumerate(zip(edges, edges[1:], strict=False)):
        if stop > start:
            np.maximum(maxima[segment], scores[start:stop].max(axis=0), out=maxima[segment])


def random_order(identities, seed) -> np.ndarray:
    """The classes in a random order that the seed (an integer, or a list of them) alone decides."""
    return np.random.default_rng(seed).permutation(_classes(identities))


def largest_first(identities, sizes, seed) -> np.ndarray:
    """The classes by falling number of images; equally large ones in the random order of `seed`.

    identities [n]: one row per class; sizes [n]: its number of images. Raises ValueError where the shapes disagree.
    """
    identities, sizes = _classes(identities), np.asarray(sizes)
    if sizes.shape != identities.shape:
        raise ValueError(f"sizes: expected one for each of {len(identities)} classes, got an array of {sizes.shape}")
    shuffled = np.random.default_rng(seed).permutation(len(identities))
    return identities[shuffled[np.argsort(-sizes[shuffled], kind="stable")]]


def least_certain_first(identities, old) -> np.ndarray:
    """The classes by falling cosine of their old template to the nearest old template of another class.

    The old gallery is surest of a class that stands alone, and least of one that has a close neighbour; neither
    labels of searches nor the new model are needed. identities [n]: one row per class; old [n, d]: its template by
    the old model. Equal cosines, as of two classes that are each other's nearest, keep the order of the rows.
    Raises ValueError for fewer than two classes, and on NaN or shapes that do not fit.
    """
    identities, old = _classes(identities), blocks.feature_matrix("old", old)
    if len(old) != len(identities) or len(old) < 2:
        raise ValueError(f"old: expected a row for each of {len(identities)} classes, 2 or more, got {len(old)}")
    rows = unit_rows(old, "old", slice(None))
    cosines = rows @ rows.T
    cosines = np.maximum(cosines, cosines.T)  # the product may round the two directions of a pair differently
    np.fill_diagonal(cosines, -np.inf)
    return identities[np.argsort(-cosines.max(axis=1), kind="stable")]


def images_backfilled(identities, sizes, order, points: int = 51) -> np.ndarray:
    """Share of the gallery's images that are embedded anew at each point of a backfill curve, float64 [points].

    Points lie at equal shares of classes, as in `bctlib.metrics.backfill.backfill_curve`. Raises ValueError for an
    order that is none of these classes.
    """
    identities, sizes = _classes(identities), np.asarray(sizes)
    if not np.array_equal(np.sort(order), np.sort(identities)):
        raise ValueError(f"order: expected each of the {len(identities)} distinct gallery identities once")
    by_label = np.argsort(identities)
    in_order = sizes[by_label[np.searchsorted(identities[by_label], order)]]
    done = np.round(np.linspace(0, 1, points) * len(identities)).astype(np.int64)
    return np.concatenate([[0], np.cumsum(in_order)])[done] / sizes.sum()


def _classes(identities) -> np.ndarray:
    identities = np.asarray(identities)
    if identities.ndim != 1 or len(np.unique(identities)) < len(identities):
        raise ValueError("identities: expected one row per class, each class once")
    return identities
