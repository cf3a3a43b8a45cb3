"""Market-1501's protocol (Table 5): single images search a gallery of single images seen by other cameras.

On glyphs a camera is a typeface: it decides how all of its pictures look, whoever is on them. Queries and gallery come
from the image pool of the test protocols (`bctlib.data.protocols`), so that no image is embedded a second time. A
query is one image; the gallery is every image that is no query, of all identities. As on Market-1501 an identity gives
at most one query per camera, and a query is not judged by gallery images of its own identity and camera (they may
differ from it by the capture condition alone); images of other identities by its camera stay in, as wrong answers.

Sizes beside Market-1501's, whose gallery holds 2,798 images of nobody and 3,819 that are left out:

|               | identities | queries | gallery | cameras           |
|---------------|------------|---------|---------|-------------------|
| Market-1501   | 750        | 3,368   | 19,732  | 6                 |
| glyphs, desk  | 1,300      | 5,200   | 41,600  | one per typeface  |
"""

from dataclasses import dataclass

import numpy as np

from bctlib.data.templates import ImagePool
from bctlib.base.errors import BctError

JUNK, DISTRACTOR = -1, 0
"""Identities that are no person: junk is ignored in every measure, a distractor stays as a wrong answer."""
QUERIES = 4
"""Queries of an identity, about Market-1501's 4.5."""


@dataclass(frozen=True)
class ReidProtocol:
    """Queries and gallery over a pool of n images.

    query, gallery: int64 [q] and [g], positions in the pool, ascending; identity, camera: int64 [n], of every image of
    the pool.
    """

    query: np.ndarray
    gallery: np.ndarray
    identity: np.ndarray
    camera: np.ndarray

    @property
    def counts(self) -> dict[str, int]:
        """How many identities, queries, gallery images and cameras there are."""
        return {
            "identities": len(np.unique(self.identity[self.query])),
            "queries": len(self.query),
            "gallery images": len(self.gallery),
            "cameras": len(np.unique(self.camera)),
        }

    def allowed(self, query: int) -> np.ndarray:
        """Positions in the pool of the gallery images that the query's ranking has, int64. query: 0 to q-1."""
        own = self.query[query]
        identity, camera = self.identity[self.gallery], self.camera[self.gallery]
        same = (identity == self.identity[own]) & (camera == self.camera[own])
        return self.gallery[~same & (identity != JUNK)]


def reid_protocol(pool: ImagePool, seed: int, queries: int = QUERIES) -> ReidProtocol:
    """Market-1501's protocol over the pool, fixed by `seed`.

    queries: for each identity, of as many different typefaces. One typeface of each identity gives no query, so that
    every query has a right answer of another typeface; an identity of k typefaces has therefore at most k - 1 queries.
    Raises BctError for queries below 1, and where no identity has two typefaces.
    """
    if queries < 1:
        raise BctError(f"queries is {queries}, expected 1 or more for each identity")
    # Shuffled, then sorted by identity alone (a stable sort): the first image of a typeface is a random one of it.
    order = np.random.default_rng(seed).permutation(pool.size)
    order = order[np.argsort(pool.identity[order], kind="stable")]
    glyph = pool.identity * (pool.typeface.max() + 1) + pool.typeface
    _, first = np.unique(glyph[order], return_index=True)
    candidates = order[np.sort(first)]
    identity, start, typefaces = np.unique(pool.identity[candidates], return_index=True, return_counts=True)
    place = np.arange(len(candidates)) - np.repeat(start, typefaces)
    query = np.sort(candidates[place < np.repeat(np.minimum(typefaces - 1, queries), typefaces)])
    if len(query) == 0:
        raise BctError(f"none of the pool's {len(identity)} identities is in two typefaces: no query has an answer")
    gallery = np.setdiff1d(np.arange(pool.size), query)
    return ReidProtocol(query.astype(np.int64), gallery, pool.identity, pool.typeface)
