"""Splits by identity: training, validation and test share no identity (open set), and training has nested shares.

The paper trains old models on 25, 50 or 90 % of the training identities (Sec. 3.4 to 3.6): `training_share`.
"""

from dataclasses import dataclass

import numpy as np

from bctlib.base.errors import BctError


@dataclass(frozen=True)
class IdentitySplit:
    """Three disjoint sets of identity indices (int64, sorted) into a glyph set."""

    train: np.ndarray
    validation: np.ndarray
    test: np.ndarray


def split_identities(n_identities: int, n_train: int, n_validation: int, n_test: int, seed: int) -> IdentitySplit:
    """Draw three disjoint sets out of `n_identities` at random by `seed`; what is left over is unused.

    Raises BctError when a count is negative or more identities are asked for than there are.
    """
    counts = {"n_train": n_train, "n_validation": n_validation, "n_test": n_test}
    for name, count in counts.items():
        if count < 0:
            raise BctError(f"split of identities: {name} is {count}, expected 0 or more")
    asked = sum(counts.values())
    if asked > n_identities:
        raise BctError(
            f"split of identities: n_train + n_validation + n_test is {asked}, but there are only {n_identities}"
        )
    order = np.random.default_rng(seed).permutation(n_identities).astype(np.int64)
    train, validation, test = np.split(order[:asked], [n_train, n_train + n_validation])
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
