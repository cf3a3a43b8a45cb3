"""Open-set protocols on glyphs that mirror IJB-C (paper Sec. 3.1, 3.3), 1:1 verification and 1:N search; and splits.

A template is one or more images of one identity. As in the paper, the query model embeds the first template of a pair
and the probes of a search; the gallery model embeds the second template and the galleries.

Sides. The seed splits the typefaces into two disjoint halves, and the capture conditions of
`bctlib.data.distortion.CAPTURE_CONDITIONS` too. First templates and probes take images from the first halves, second
templates and galleries from the second, so compared templates share neither typeface nor kind of distortion.

Images. On the first side an identity has, for each typeface that contains it, 2 captures under different conditions;
on the second side one. They are shuffled per identity and cut into templates one after the other, largest first, so
templates of one kind never share an image. If an identity lacks typefaces, its last templates are shorter or missing.
Both protocols cut the same sequences; the pool holds each image once, so each model embeds it once.

Verification compares every first with every second template. By default both have sizes 4, 2, 1, 1 per identity; with
1,300 test identities these are 27 million impostor pairs, so 27 of them decide FAR = 1e-6.

Identification splits the identities into galleries G1 and G2, with one template of up to 4 images per identity. All
probes search both; a probe is mated in its identity's gallery and non-mated in the other, and results are averaged over
G1 and G2 as in IJB-C. By default an identity has 21 probes: 2 of three images, 3 of two, 16 of one. With 1,300 test
identities these are 13,650 non-mated searches per gallery, so 13 decide FPIR = 1e-3, and 10 after
`GlyphProtocols.without` has removed a fifth of the identities (look-alikes, `bctlib.data.variants`).

Splits. Training, validation and test share no identity (open set, `split_identities`). Old models train on nested
shares of 25, 50 or 90 % of the training identities (Sec. 3.4 to 3.6, `training_share`).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from bctlib.base.errors import BctError
from bctlib.data.distortion import CAPTURE_CONDITIONS, capture
from bctlib.data.glyphs import GlyphSet
from bctlib.data.templates import ImagePool, TemplateSet, template_embeddings
from bctlib.metrics.verification import VerificationScores, verification_scores

TEMPLATE_SIZES = (4, 2, 1, 1)
PROBE_SIZES = (3, 3, 2, 2, 2) + (1,) * 16
GALLERY_SIZE, VALIDATION_SEED = 4, 2020


@dataclass(frozen=True)
class VerificationProtocol:
    """1:1: every first template against every second one; a pair is genuine if the identities agree."""

    first: TemplateSet
    second: TemplateSet

    @property
    def n_genuine(self) -> int:
        """Number of pairs of one identity."""
        identities, counts = np.unique(self.second.identity, return_counts=True)
        per_identity = dict(zip(identities.tolist(), counts.tolist(), strict=True))
        return sum(per_identity.get(identity, 0) for identity in self.first.identity.tolist())

    @property
    def n_impostor(self) -> int:
        """Number of pairs of two identities."""
        return self.first.size * self.second.size - self.n_genuine

    def scores(self, query: np.ndarray, gallery: np.ndarray, keep: float | None = None) -> VerificationScores:
        """Cosines of all pairs, from image features [n, d] of two models; keep: see `verification_scores`."""
        first, second = template_embeddings(query, self.first), template_embeddings(gallery, self.second)
        return verification_scores(first, self.first.identity, second, self.second.identity, keep)

    def without(self, identities: np.ndarray) -> "VerificationProtocol":
        return VerificationProtocol(self.first.without(identities), self.second.without(identities))


@dataclass(frozen=True)
class IdentificationProtocol:
    """1:N, open set: every probe searches each gallery; galleries hold one template per identity and are disjoint."""

    probes: TemplateSet
    galleries: tuple[TemplateSet, TemplateSet]

    def is_mated(self, gallery: int) -> np.ndarray:
        """bool [probes.size]: whether the probe's identity is in gallery 0 (G1) or 1 (G2)."""
        return np.isin(self.probes.identity, self.galleries[gallery].identity)

    @property
    def counts(self) -> dict[str, int]:
        """How many probes, enrolled identities and searches there are."""
        counts = {"probes": self.probes.size}
        for number, gallery in enumerate(self.galleries):
            mated = int(self.is_mated(number).sum())
            counts[f"G{number + 1} identities"] = gallery.size
            counts[f"G{number + 1} mated searches"] = mated
            counts[f"G{number + 1} non-mated searches"] = self.probes.size - mated
        return counts

    def without(self, identities: np.ndarray) -> "IdentificationProtocol":
        g1, g2 = self.galleries
        return IdentificationProtocol(self.probes.without(identities), (g1.without(identities), g2.without(identities)))


@dataclass(frozen=True)
class GlyphProtocols:
    """Both protocols over one image pool.

    typefaces, conditions: (first side, second side), int64 indices; disjoint.
    """

    every_point = False  # results leave out operating points that fewer than one impostor decides

    pool: ImagePool
    verification: VerificationProtocol
    identification: IdentificationProtocol
    typefaces: tuple[np.ndarray, np.ndarray]
    conditions: tuple[np.ndarray, np.ndarray]

    @property
    def identities(self) -> np.ndarray:
        """Indices into the glyph set of the identities that are compared, int64 sorted."""
        return np.unique(self.verification.first.identity)

    def without(self, identities: np.ndarray) -> "GlyphProtocols":
        """The same protocols with all templates of some identities left out.

        The pool is unchanged, so features need not be extracted again. Raises BctError for an identity that is not in
        the protocols, and when a gallery would be empty.
        """
        foreign = np.setdiff1d(identities, self.identities)
        if len(foreign):
            raise BctError(f"cannot leave out identity {foreign[0]}: it is not one of the protocol's identities")
        identification = self.identification.without(identities)
        if min(gallery.size for gallery in identification.galleries) == 0:
            raise BctError(f"leaving out {len(identities)} of {len(self.identities)} identities empties a gallery")
        verification = self.verification.without(identities)
        return GlyphProtocols(self.pool, verification, identification, self.typefaces, self.conditions)

    @property
    def counts(self) -> dict[str, int]:
        """How many identities, images, templates, pairs and searches there are."""
        verification = self.verification
        return {
            "identities": len(self.identities),
            "images": self.pool.size,
            "first templates": verification.first.size,
            "second templates": verification.second.size,
            "genuine pairs": verification.n_genuine,
            "impostor pairs": verification.n_impostor,
        } | self.identification.counts


def _halves(count: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """0..count-1 in two random disjoint halves, sorted; the first takes the odd one."""
    order = rng.permutation(count)
    return np.sort(order[: (count + 1) // 2]), np.sort(order[(count + 1) // 2 :])


@dataclass(frozen=True)
class _Sequences:
    """The shuffled images of one side: those of the i-th identity are start[i] to start[i+1]."""

    identity: np.ndarray
    typeface: np.ndarray
    condition: np.ndarray
    start: np.ndarray


def _sequences(
    glyphs: GlyphSet,
    identities: np.ndarray,
    typefaces: np.ndarray,
    conditions: np.ndarray,
    captures: int,
    longest: int,
    rng: np.random.Generator,
) -> _Sequences:
    """For each identity its images on one side in random order, cut to the `longest` that templates can use."""
    rows: list[tuple[np.ndarray, np.ndarray]] = []
    for identity in identities:
        held = typefaces[glyphs.present[identity, typefaces]]
        if len(held) == 0:
            raise BctError(
                f"identity {glyphs.characters[identity]} is in none of the {len(typefaces)} typefaces of one side "
                "of the protocol: choose another protocol seed or leave it out"
            )
        # Captures of one glyph follow each other around the conditions, from a random one: no two are alike.
        first = rng.integers(len(conditions), size=len(held))
        chosen = conditions[(first[:, None] + np.arange(captures)) % len(conditions)].ravel()
        order = rng.permutation(len(chosen))[:longest]
        rows.append((np.repeat(held, captures)[order], chosen[order]))
    lengths = np.array([len(typeface) for typeface, _ in rows])
    return _Sequences(
        np.repeat(identities, lengths),
        np.concatenate([typeface for typeface, _ in rows]).astype(np.int64),
        np.concatenate([condition for _, condition in rows]).astype(np.int64),
        np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64),
    )


def _cut(sequences: _Sequences, offset: int, sizes: Sequence[int], which: np.ndarray) -> TemplateSet:
    """Templates of the given sizes cut off the sequences of the identities at positions `which`, largest first.

    offset: position of the side's first image in the pool.
    """
    ends = np.cumsum(sorted(sizes, reverse=True))
    begins = np.concatenate([[0], ends[:-1]])
    base, limit = sequences.start[which, None], sequences.start[which + 1, None]
    begin, end = np.minimum(base + begins, limit), np.minimum(base + ends, limit)
    identity = np.broadcast_to(sequences.identity[base], begin.shape)
    whole = end > begin  # an identity with few images runs out: shorter template, then none
    lengths = (end - begin)[whole]
    start = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    image_index = np.arange(start[-1]) + np.repeat(begin[whole] - start[:-1], lengths) + offset
    return TemplateSet(image_index.astype(np.int64), start, identity[whole].astype(np.int64))


def _checked_identities(glyphs: GlyphSet, identities: np.ndarray) -> np.ndarray:
    identities = np.asarray(identities)
    if identities.ndim != 1 or not np.issubdtype(identities.dtype, np.integer) or len(identities) < 2:
        raise BctError(f"protocol identities are {identities.dtype} {identities.shape}, expected 2 or more integers")
    identities = np.sort(identities).astype(np.int64)
    if identities[0] < 0 or identities[-1] >= len(glyphs.characters):
        raise BctError(f"protocol identities must lie in 0..{len(glyphs.characters) - 1}, the glyph set's range")
    if (np.diff(identities) == 0).any():
        raise BctError("protocol identities contain an identity twice, expected each once")
    return identities


def glyph_protocols(
    glyphs: GlyphSet,
    identities: np.ndarray,
    seed: int,
    *,
    captures: int = 2,
    template_sizes: Sequence[int] = TEMPLATE_SIZES,
    probe_sizes: Sequence[int] = PROBE_SIZES,
    gallery_size: int = GALLERY_SIZE,
) -> GlyphProtocols:
    """Both protocols over some identities of a glyph set, fixed by `seed`; the module's docstring describes them.

    identities: integer [k], at least 2, of test (or validation) identities. captures: images per glyph on the first
    side. template_sizes, probe_sizes: images in each verification template and each probe of an identity.
    gallery_size: most images of a gallery template.

    Raises BctError for identities that are out of range, repeated or in no typeface of one side, for sizes below 1,
    for fewer than 2 typefaces, and for more captures than a side has conditions.
    """
    identities = _checked_identities(glyphs, identities)
    n_conditions = len(CAPTURE_CONDITIONS)
    if not 1 <= captures <= n_conditions // 2:
        raise BctError(f"captures is {captures}, expected 1 to {n_conditions // 2}, the conditions of one side")
    for name, sizes in (("template_sizes", template_sizes), ("probe_sizes", probe_sizes)):
        if len(sizes) == 0 or min(sizes) < 1:
            raise BctError(f"{name} is {tuple(sizes)}, expected one or more numbers of images, each 1 or more")
    if gallery_size < 1:
        raise BctError(f"gallery_size is {gallery_size}, expected 1 or more images")
    if len(glyphs.typefaces) < 2:
        raise BctError(f"the glyph set has {len(glyphs.typefaces)} typeface, a protocol needs at least 2")

    rng = np.random.default_rng(seed)
    typefaces = _halves(len(glyphs.typefaces), rng)
    conditions = _halves(n_conditions, rng)
    g1, g2 = _halves(len(identities), rng)
    longest = (max(sum(template_sizes), sum(probe_sizes)), max(sum(template_sizes), gallery_size))
    first = _sequences(glyphs, identities, typefaces[0], conditions[0], captures, longest[0], rng)
    second = _sequences(glyphs, identities, typefaces[1], conditions[1], 1, longest[1], rng)

    identity, typeface, condition = (
        np.concatenate([getattr(first, name), getattr(second, name)]) for name in ("identity", "typeface", "condition")
    )
    captured = capture(glyphs.images[identity, typeface], condition, int(rng.integers(2**62)))
    offset, everyone = len(first.identity), np.arange(len(identities))
    return GlyphProtocols(
        ImagePool(identity, typeface, condition, captured),
        VerificationProtocol(_cut(first, 0, template_sizes, everyone), _cut(second, offset, template_sizes, everyone)),
        IdentificationProtocol(
            _cut(first, 0, probe_sizes, everyone),
            (_cut(second, offset, (gallery_size,), g1), _cut(second, offset, (gallery_size,), g2)),
        ),
        typefaces,
        conditions,
    )


@dataclass(frozen=True)
class IdentitySplit:
    """Three disjoint sets of identity indices (int64, sorted) into a glyph set."""

    train: np.ndarray
    validation: np.ndarray
    test: np.ndarray


def split_identities(n_identities: int, n_train: int, n_validation: int, n_test: int, seed: int) -> IdentitySplit:
    """Draw three disjoint sets out of `n_identities`; what is left over is unused.

    Validation identities are the same for every seed, so none is ever tested on; the seed draws the others. Raises
    BctError for a negative count, and when more identities are asked for than there are.
    """
    counts = {"n_train": n_train, "n_validation": n_validation, "n_test": n_test}
    if negative := [name for name, count in counts.items() if count < 0]:
        raise BctError(f"split of identities: {negative[0]} is {counts[negative[0]]}, expected 0 or more")
    asked = sum(counts.values())
    if asked > n_identities:
        raise BctError(
            f"split of identities: n_train + n_validation + n_test is {asked}, but there are only {n_identities}"
        )
    validation = np.random.default_rng(VALIDATION_SEED).permutation(n_identities)[:n_validation].astype(np.int64)
    others = np.setdiff1d(np.arange(n_identities, dtype=np.int64), validation)
    train, test = np.split(np.random.default_rng(seed).permutation(others)[: n_train + n_test], [n_train])
    return IdentitySplit(np.sort(train), np.sort(validation), np.sort(test))


def training_share(split: IdentitySplit, share: float, seed: int) -> np.ndarray:
    """A share of the training identities, int64 sorted; with one seed a smaller share lies inside a larger one.

    share: in (0, 1]; 1 gives all of `split.train`. Raises BctError outside that range or when no identity is left.
    """
    if not 0 < share <= 1:
        raise BctError(f"share of training identities is {share}, expected a number above 0 and at most 1")
    count = round(share * len(split.train))
    if count == 0:
        raise BctError(f"share {share} of {len(split.train)} training identities leaves none")
    return np.sort(np.random.default_rng(seed).permutation(split.train)[:count])
