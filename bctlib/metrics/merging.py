"""Searches of a gallery that is half backfilled by a model that is not compatible: merged hits, and a cascade.

Rank merge: the old query searches the old part, the new query the backfilled part, and hits are merged by calibrated
scores; both models embed every query. Source: rank merging for backfilling (WACV 2025), here with scores calibrated by
the false accept rate of each model, without training. Cascade: a query mapped into the old space fetches candidates of
the old part, these are embedded anew, and all is ranked by the new model.
"""

from dataclasses import dataclass

import numpy as np

from bctlib.metrics.backfill import BackfillSearches, backfill_searches, places
from bctlib.metrics.blocks import feature_matrix, row_blocks, same_width, scores, unit_rows
from bctlib.metrics.verification import common_codes_of, thresholds

FARS = (1e-1, 1e-2, 1e-3, 1e-4, 1e-5)


@dataclass(frozen=True)
class Calibration:
    """Turns a model's scores into levels that two models share: -log10 of the false accept rate at that score.

    score, level: float64 [k], both rising. Between the thresholds the level is linear in the score, and beyond the
    first and last it goes on with the same slope, so that the order of one model's scores is kept.
    """

    score: np.ndarray
    level: np.ndarray

    @classmethod
    def of(cls, impostor, fars=FARS) -> "Calibration":
        """From the impostor scores [m] of a model with itself, on identities that are not tested.

        FARs that fewer than one impostor decides are left out, and so is all but the strictest at one threshold.
        Raises ValueError if fewer than two thresholds differ.
        """
        impostor = scores("impostor", impostor)
        rates = sorted((far for far in fars if far * len(impostor) >= 1), reverse=True)
        cuts = {float(cut): -np.log10(far) for far, (cut, _) in zip(rates, thresholds(impostor, rates), strict=True)}
        if len(cuts) < 2:
            raise ValueError(f"impostor: {len(impostor)} scores give {len(cuts)} different thresholds, expected two")
        return cls(np.array(list(cuts)), np.array(list(cuts.values())))

    def __call__(self, values) -> np.ndarray:
        """Levels, float64 of the shape of `values`; -inf stays -inf."""
        values = np.asarray(values, np.float64)
        found = np.interp(values, self.score, self.level)
        for end, beyond in ((0, values < self.score[0]), (-1, values > self.score[-1])):
            near = 1 if end == 0 else -2
            slope = (self.level[near] - self.level[end]) / (self.score[near] - self.score[end])
            found = np.where(beyond, self.level[end] + slope * (values - self.score[end]), found)
        return found


def merged_searches(
    old_probes, new_probes, probe_identity, gallery_old, gallery_new, gallery_identity, old_level, new_level,
    order=None, points: int = 11,
) -> BackfillSearches:  # fmt: skip
    """Rank merge at every point of a backfill: scores are levels of the calibrations `old_level` and `new_level`.

    old_probes [q, d_old], new_probes [q, d_new]: the same probes by both models; the rest as for
    `bctlib.metrics.backfill.backfill_searches`. With nothing backfilled this is the old model alone, in the end the
    new one. Raises ValueError as that function does.
    """
    new = backfill_searches(new_probes, probe_identity, gallery_new, gallery_new, gallery_identity, order, points)
    old = backfill_searches(old_probes, probe_identity, gallery_old, gallery_old, gallery_identity, order, points)
    mate = np.where(new.mate_is_new, new_level(new.mate), old_level(old.mate))
    return new._replace(mate=mate, other_new=new_level(new.other_new), other_old=old_level(old.other_old))


def cascade_searches(
    mapped_probes, new_probes, probe_identity, gallery_old, gallery_new, gallery_identity, candidates: int,
    order=None, points: int = 11,
) -> BackfillSearches:  # fmt: skip
    """Cascade at every point of a backfill; all scores are cosines of the new model.

    mapped_probes [q, d_old]: the new probes in the old space. candidates: how many old templates with the highest
    cosine to a mapped probe are embedded anew. The backfilled part is searched directly. The rest as for
    `backfill_searches`; `mate` is -inf where the mate is no candidate. Raises ValueError as that function does.
    """
    mapped, new = feature_matrix("mapped_probes", mapped_probes), feature_matrix("new_probes", new_probes)
    old_rows, new_rows = feature_matrix("gallery_old", gallery_old), feature_matrix("gallery_new", gallery_new)
    same_width("mapped_probes", mapped, "gallery_old", old_rows)
    same_width("new_probes", new, "gallery_new", new_rows)
    if candidates < 1 or points < 2:
        raise ValueError(f"candidates, points: expected 1 and 2 or more, got {candidates} and {points}")
    probe_codes, codes = common_codes_of("probe", new, probe_identity, "gallery", new_rows, gallery_identity)
    place = places(codes, np.asarray(gallery_identity), order)
    by_place = np.argsort(place, kind="stable")
    backfilled = np.round(np.linspace(0, 1, points) * (place.max() + 1)).astype(np.int64)
    cuts = np.searchsorted(place[by_place], backfilled, side="left")
    old_unit, new_unit = (unit_rows(each, name)[by_place] for each, name in
                          ((old_rows, "gallery_old"), (new_rows, "gallery_new")))  # fmt: skip
    mate, other = (np.full((len(new), points), -np.inf, np.float32) for _ in range(2))
    for block in row_blocks(len(new), 2 * len(codes)):
        coarse = unit_rows(mapped, "mapped_probes", block) @ old_unit.T
        fine = unit_rows(new, "new_probes", block) @ new_unit.T
        own = probe_codes[block][:, None] == codes[by_place]
        for point, cut in enumerate(cuts):
            allowed = np.ones(fine.shape, bool)
            if coarse.shape[1] - cut > candidates:
                nearest = np.argpartition(-coarse[:, cut:], candidates - 1, axis=1)[:, :candidates]
                allowed[:, cut:] = False
                np.put_along_axis(allowed, nearest + cut, True, axis=1)
            mate[block, point] = np.where(allowed & own, fine, -np.inf).max(axis=1)
            other[block, point] = np.where(allowed & ~own, fine, -np.inf).max(axis=1)
    mated = np.isin(probe_codes, codes)
    nothing = np.full_like(other, -np.inf)
    return BackfillSearches(backfilled / (place.max() + 1), mated, mate, np.ones(mate.shape, bool), other, nothing)
