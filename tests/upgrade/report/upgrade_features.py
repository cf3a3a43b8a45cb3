"""Features of an old model and of two new ones, compatible and not, made up so that the truth is known."""

import numpy as np


def made_up(
    n_classes: int = 60,
    per_class: int = 6,
    singles: int = 0,
    d: int = 16,
    wider: int = 8,
    seed: int = 0,
    worse: tuple[int, ...] = (),
) -> dict[str, np.ndarray]:
    """labels [n]; old [n, d]; new [n, d + wider], whose prefix is the old space with less noise; foreign, as good as
    new and in a space of its own; paragon, better than new.

    Classes `worse` get the place of their neighbour under the new model: they are confused with it.
    """
    rng = np.random.default_rng(seed)
    labels = np.concatenate([np.repeat(np.arange(n_classes), per_class), n_classes + np.arange(singles)])
    centres = rng.normal(size=(n_classes + singles, d))
    images = centres[labels] + 0.4 * rng.normal(size=(len(labels), d))
    old = images + 0.8 * rng.normal(size=images.shape)
    seen = images.copy()
    for each in worse:
        seen[labels == each] += centres[each + 1] - centres[each]
    new = np.concatenate([seen + 0.1 * rng.normal(size=images.shape), rng.normal(size=(len(labels), wider))], axis=1)
    turn = np.linalg.qr(rng.normal(size=(d, d)))[0]
    features = {"old": old, "new": new, "foreign": images @ turn, "paragon": images}
    return {name: each.astype(np.float32) for name, each in features.items()} | {"labels": labels}
