"""Galleries whose classes are unequal, as real ones are: few identities with many images, many with one.

The galleries of the standard protocol hold up to four images of every identity, so that "largest classes first" would
mean nothing there. Here the numbers of images follow Zipf's rule: among the classes of a gallery, those with k images
are as many as 1/k, for k from 1 to the most that an identity has on the protocol's second side (8 by default). A
seeded shuffle says which class gets which number; a class takes its first images of the second side, in the order
that the protocol shuffled them. An identity that lacks typefaces has as many images as there are.
"""

import numpy as np

from bctlib.data.protocols import GlyphProtocols
from bctlib.data.templates import TemplateSet
from bctlib.base.errors import BctError


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
