"""IJB-C's two protocols in the form that the glyph protocols have: template sets over one pool of images.

Whoever searches, backfills or draws templates of glyphs can do the same with IJB-C. Its 1:1 protocol is a list of
pairs and not all of them, and its images carry weights: 1 / number of images of the same medium in the template, times
the detector's score, which is the benchmark's pooling (`bctlib.data.media_templates`) as a weighted sum.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from bctlib.data.paper.ijbc import GALLERIES, IjbcMeta
from bctlib.data.photos.image_file_pool import ImageFilePool
from bctlib.data.protocols import IdentificationProtocol
from bctlib.data.templates import TemplateSet


@dataclass(frozen=True)
class PairListProtocol:
    """1:1 over p listed pairs.

    templates: every template, t of them. pair_first, pair_second: int32 [p], positions in them; pair_genuine: bool [p].
    first, second: the probes and the enrolled templates alone, for pictures and counts.
    """

    templates: TemplateSet
    pair_first: np.ndarray
    pair_second: np.ndarray
    pair_genuine: np.ndarray
    first: TemplateSet
    second: TemplateSet

    @property
    def n_genuine(self) -> int:
        """Number of pairs of one identity."""
        return int(np.count_nonzero(self.pair_genuine))

    @property
    def n_impostor(self) -> int:
        """Number of pairs of two identities."""
        return len(self.pair_genuine) - self.n_genuine


@dataclass(frozen=True)
class IjbcProtocols:
    """Both protocols over the pool of all images, whose order is that of the metadata. Identities are subjects."""

    meta: IjbcMeta
    pool: ImageFilePool
    verification: PairListProtocol
    identification: IdentificationProtocol

    @property
    def identities(self) -> np.ndarray:
        """Subjects that are enrolled, sorted."""
        return np.unique(self.verification.second.identity)

    @cached_property
    def counts(self) -> dict[str, int]:
        """How many subjects, images, templates, pairs and searches there are."""
        return {
            "identities": len(self.identities),
            "images": self.pool.size,
            "templates": self.verification.templates.size,
            "genuine pairs": self.verification.n_genuine,
            "impostor pairs": self.verification.n_impostor,
        } | self.identification.counts


def ijbc_protocols(meta: IjbcMeta, pool: ImageFilePool) -> IjbcProtocols:
    """The protocols of the metadata over a pool of its images in their order (`ijbc_pool`).

    A template that is in neither gallery nor among the probes has the identity -1: it occurs in pairs alone.
    """
    identity = np.full(len(meta.template_id), -1, np.int64)
    for templates, subjects in meta.lists.values():
        identity[templates] = subjects
    order = np.argsort(meta.image_template, kind="stable")
    start = np.searchsorted(meta.image_template[order], np.arange(len(identity) + 1)).astype(np.int64)
    every = TemplateSet(order.astype(np.int64), start, identity, _weights(meta)[order])
    probes, *galleries = (every.take(meta.lists[name][0]) for name in ("probes", *GALLERIES))
    enrolled = every.take(np.concatenate([meta.lists[name][0] for name in GALLERIES]))
    pairs = PairListProtocol(every, meta.pair_first, meta.pair_second, meta.pair_genuine, probes, enrolled)
    return IjbcProtocols(meta, pool, pairs, IdentificationProtocol(probes, tuple(galleries)))


def _weights(meta: IjbcMeta) -> np.ndarray:
    """float32 [images]: detector's score / number of the images of the same medium within the template."""
    media = np.unique(meta.image_medium, return_inverse=True)[1].reshape(-1).astype(np.int64)
    keys = meta.image_template.astype(np.int64) * (int(media.max(initial=0)) + 1) + media
    _, place, counts = np.unique(keys, return_inverse=True, return_counts=True)
    return (meta.detector_score / counts[place.reshape(-1)]).astype(np.float32)
