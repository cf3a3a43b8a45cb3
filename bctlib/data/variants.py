"""Three variants of the test protocols: re-identification, long-tailed galleries, and look-alikes.

Re-identification (Table 5) follows Market-1501: single images search a gallery of single images by other cameras. On
glyphs a camera is a typeface, which decides how all of its pictures look. Queries and gallery come from the pool of
the test protocols (`bctlib.data.protocols`), so no image is embedded twice. The gallery is every image that is no
query. As on Market-1501 an identity has at most one query per camera, and gallery images of the query's own identity
and camera are ignored (they may differ from it by the capture condition alone); images of other identities by that
camera stay in, as wrong answers.

|               | identities | queries | gallery | cameras           |
|---------------|------------|---------|---------|-------------------|
| Market-1501   | 750        | 3,368   | 19,732  | 6                 |
| glyphs, desk  | 1,300      | 5,200   | 41,600  | one per typeface  |

Market-1501's gallery contains 2,798 distractors and, left out of every measure, 3,819 junk images.

Long-tailed galleries have few identities with many images and many with one, as real galleries do; in the standard
galleries, with up to four images of every identity, "largest classes first" would mean nothing. Sizes follow Zipf's
law: the number of classes with k images is proportional to 1/k, for k from 1 to the most images that an identity has
on the protocol's second side (8 by default). A seeded shuffle assigns the sizes; a class takes its first images of the
second side, in the protocol's order. An identity that lacks typefaces has as many images as there are.

Look-alikes are identities with a close double, found without any model. A dozen pairs of kanji that differ by a hair
(己 and 巳, 未 and 朱) decide the strict operating points of an open-set search for every model, so the tables also have
a variant without look-alikes. The rule is fixed in advance: average each identity's undistorted image over its
typefaces, correlate the averages, and mark the share of identities with the highest correlation to another identity.
"""

from dataclasses import dataclass

import numpy as np

from bctlib.base.errors import BctError
from bctlib.data.glyphs import GlyphSet
from bctlib.data.protocols import GlyphProtocols
from bctlib.data.templates import ImagePool, TemplateSet

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


def zipf_sizes(count: int, most: int) -> np.ndarray:
    """`count` class sizes from `most` down to 1, int64: the i-th of them where 1/k is accumulated to (i + 0.5)/count.

    Raises BctError for less than one class or image.
    """
    if count < 1 or most < 1:
        raise BctError(f"long-tailed gallery of {count} classes with up to {most} images: expected 1 or more of both")
    shares = 1 / np.arange(1, most + 1)
    limits = np.cumsum(shares) / shares.sum()
    small_first = np.searchsorted(limits, (np.arange(count) + 0.5) / count) + 1
    return small_first[::-1].astype(np.int64)


def long_tailed_galleries(protocols: GlyphProtocols, seed: int = 0) -> tuple[TemplateSet, TemplateSet]:
    """G1 and G2 with the same identities over the same pool, one template each, sizes as the module's docstring says.

    Images come from the second templates of the 1:1 protocol, which hold all of that side. The probes stay as they
    are. seed: of the shuffle that deals the sizes.
    """
    second = protocols.verification.second
    owner = np.repeat(second.identity, second.images_per_template)
    images = {int(identity): second.image_index[owner == identity] for identity in np.unique(second.identity)}
    most = max(map(len, images.values()))
    rng = np.random.default_rng(seed)
    g1, g2 = protocols.identification.galleries
    return _dealt(g1.identity, images, most, rng), _dealt(g2.identity, images, most, rng)


def _dealt(identities: np.ndarray, images: dict[int, np.ndarray], most: int, rng: np.random.Generator) -> TemplateSet:
    sizes = rng.permutation(zipf_sizes(len(identities), most))
    held = [images[int(identity)][:size] for identity, size in zip(identities, sizes, strict=True)]
    start = np.concatenate([[0], np.cumsum([len(each) for each in held])]).astype(np.int64)
    return TemplateSet(np.concatenate(held), start, identities)


def nearest_identities(glyphs: GlyphSet, identities: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """For each of k identities the most similar other one of them: (identity int64 [k], correlation float64 [k]).

    The correlation is Pearson's over the pixels of the typeface-averaged images. Raises BctError for fewer than two
    identities and for an identity whose average is blank.
    """
    identities = np.asarray(identities, dtype=np.int64)
    if identities.ndim != 1 or len(identities) < 2:
        raise BctError(f"look-alikes need two or more identities, got shape {identities.shape}")
    side = glyphs.images.shape[-1]
    mean = np.zeros((len(identities), side * side))
    for typeface in range(glyphs.images.shape[1]):  # one at a time: never all images as floats
        held = glyphs.present[identities, typeface]
        mean[held] += glyphs.images[identities[held], typeface].reshape(-1, side * side)
    # Correlation has no scale: the sum over typefaces serves as well as the mean.
    mean -= mean.mean(axis=1, keepdims=True)
    norm = np.linalg.norm(mean, axis=1, keepdims=True)
    if not norm.all():
        blank = glyphs.characters[identities[np.flatnonzero(norm == 0)[0]]]
        raise BctError(f"identity {blank} is blank in every typeface: it cannot be compared with others")
    mean /= norm
    correlation = mean @ mean.T
    # A matrix product need not be symmetric to the last bit, but "a is b's double" must be.
    correlation = np.maximum(correlation, correlation.T)
    np.fill_diagonal(correlation, -np.inf)
    nearest = correlation.argmax(axis=1)
    return identities[nearest], correlation[np.arange(len(identities)), nearest]


def find_lookalikes(glyphs: GlyphSet, identities: np.ndarray, share: float = 0.2) -> np.ndarray:
    """The `share` of the identities with the closest doubles among them, int64 sorted.

    The threshold is the highest correlation that marks at least this share; ties at the threshold are all marked.
    Whoever is marked because of a double has the double marked too. Raises BctError for a share outside [0, 1).
    """
    if not 0 <= share < 1:
        raise BctError(f"share of look-alikes is {share}, expected 0 or more and less than 1")
    identities = np.asarray(identities, dtype=np.int64)
    _, correlation = nearest_identities(glyphs, identities)
    count = round(share * len(identities))
    if count == 0:
        return np.empty(0, dtype=np.int64)
    threshold = np.sort(correlation)[-count]
    return np.sort(identities[correlation >= threshold])
