"""Judges a map by open-set search on validation identities, which decides otherwise than the mean cosine of pairs."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from bctlib.base.errors import BctError
from bctlib.metrics.identification import search, tpir_over_galleries
from bctlib.upgrade.align.inputs import Source, groups_of, open_pairs

if TYPE_CHECKING:
    from bctlib.upgrade.align.mapping import Map

SPLIT_SEED = 0
"""Of the halves of the identities: any seed will do, it only has to be the same for every strength."""


@dataclass(frozen=True, eq=False)
class OpenSet:
    """TPIR at a fixed FPIR of mapped queries in an old gallery, on identities that no map was fitted to.

    new [n, d_new], old [n, d_old]: features of the same images by both models, arrays or .npy files. identities: one
    for each image, as `fit` takes them. Of each identity the images at even places are enrolled by the old model (unit
    rows, averaged), the others are queries. The identities are split in halves: each is once the gallery, and once
    what is not enrolled, as G1 and G2 of the paper's 1:N protocol (Sec. 3.1); the value is the mean of both.

    Raises BctError for features as `fit` does, for fewer than two identities with two images or more, and where
    `fpir` allows not one false positive.
    """

    new: Source
    old: Source
    identities: Source
    fpir: float = 0.01

    def __post_init__(self):
        z, o = open_pairs(self.new, self.old)
        groups = groups_of("validation identities", len(z), self.identities)
        order = np.argsort(groups, kind="stable")
        first = np.searchsorted(groups[order], groups[order])
        enrolled = np.zeros(len(z), bool)
        enrolled[order] = (np.arange(len(z)) - first) % 2 == 0
        searched = np.unique(groups[~enrolled])
        if len(searched) < 2:
            raise BctError("validation identities: expected two or more with two images or more each")
        gallery = np.stack([o[enrolled & (groups == each)].sum(0) for each in searched])
        drawn = np.random.default_rng(SPLIT_SEED).permutation(len(searched))
        half = np.isin(np.arange(len(searched)), drawn[: len(searched) // 2])
        queries = ~enrolled
        not_enrolled = min(np.isin(groups[queries], searched[side]).sum() for side in (half, ~half))
        if not 0 < self.fpir < 1 or self.fpir * not_enrolled < 1:
            raise BctError(
                f"fpir is {self.fpir:g}, of {not_enrolled:,} searches without a mate on validation identities: "
                f"expected a rate below 1 that allows one of them or more"
            )
        rows = {
            "_z": z[queries].astype(np.float32), "_o": o[queries].astype(np.float32), "_groups": groups[queries],
            "_galleries": [(gallery[side].astype(np.float32), searched[side]) for side in (half, ~half)],
        }  # fmt: skip
        for name, value in rows.items():
            object.__setattr__(self, name, value)

    @property
    def about(self) -> str:
        """What a map says that its strength was chosen on."""
        return f"TPIR at FPIR {self.fpir:g} of {len(np.unique(self._groups)):,} validation identities"

    def __call__(self, made: "Map") -> float:
        """TPIR from 0 to 1; a midpoint's old queries are the old model's features of the same images."""
        mapped = made.apply(self._z, made.new, made.old, self._o if made.weight is not None else None)
        results = [search(mapped, self._groups, rows, names) for rows, names in self._galleries]
        return float(tpir_over_galleries(results, self.fpir))
