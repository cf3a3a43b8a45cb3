"""Synthesised classifier rows (paper Sec. 2.5): the mean of the unit embeddings of each class."""

from collections.abc import Callable, Iterable, Sequence

import numpy as np
import torch
import torch.nn.functional as F

from bctlib.losses import Head, frozen_head


def class_means(
    embedded: Iterable[tuple[torch.Tensor, torch.Tensor]],
    classes: int,
    dim: int,
    device: torch.device,
    total: Callable[[torch.Tensor], torch.Tensor] = lambda own: own,
) -> torch.Tensor:
    """float32 [classes,dim] on `device`, not re-normalised; a class without an embedding has a row of zeros.

    embedded: (float32 [n,dim], int64 [n]) batches of embeddings and their classes. total: the sum of a tensor
    over all processes, where each has only a part of the embeddings; by default this one has them all.
    """
    sums = torch.zeros(classes, dim, device=device)
    counts = torch.zeros(classes, 1, device=device)
    for embeddings, labels in ((each.to(device) for each in pair) for pair in embedded):
        sums.index_add_(0, labels, F.normalize(embeddings))
        counts.index_add_(0, labels, torch.ones(len(labels), 1, device=device))
    return total(sums) / total(counts).clamp(min=1)


def head_of_features(
    features: torch.Tensor | np.ndarray,
    labels: torch.Tensor | np.ndarray | Sequence[int],
    scale: float = 32.0,
    margin: float | None = 0.4,
    names: Sequence[str] | None = None,
) -> Head:
    """A frozen cosine head that stands for an old classifier of which only features are left.

    features: [n,d], of any norm; labels: integers [n], 0 to C-1, each class at least once. margin: None for
    Norm-Softmax. names: of the classes, for messages. The head is where the features are. Raises ValueError for shapes
    and labels that are not these, naming a row that is not finite, and naming a class whose features cancel or are
    all zero.
    """
    features = torch.as_tensor(features).float()
    if features.dim() != 2 or 0 in features.shape:
        raise ValueError(f"old features: have the shape {list(features.shape)}, expected [n, d] with n and d above 0")
    labels = _checked(labels, len(features)).to(features.device)
    bad = torch.nonzero(~features.norm(dim=1).isfinite())
    if len(bad):
        raise ValueError(f"old features: row {int(bad[0])} holds NaN, infinite or overflowing values")
    rows = class_means([(features, labels)], int(labels.max()) + 1, features.shape[1], features.device)
    empty = torch.nonzero(rows.norm(dim=1) < 1e-6)
    if len(empty):
        name = repr(names[int(empty[0])]) if names else int(empty[0])
        raise ValueError(f"old features: those of class {name} are zero or cancel, so that it has no direction")
    return frozen_head(rows, scale=scale, margin=margin)


def _checked(labels: torch.Tensor | np.ndarray | Sequence[int], n: int) -> torch.Tensor:
    """int64 [n], each of 0 to C-1 at least once."""
    array = labels.detach().cpu().numpy() if isinstance(labels, torch.Tensor) else np.asarray(labels)
    if array.shape != (n,) or array.dtype.kind not in "iu":
        raise ValueError(
            f"labels of old features: {array.dtype} of shape {list(array.shape)}, expected an integer for each of the "
            f"{n:,} rows"
        )
    present = np.unique(array)
    if int(present[0]) != 0 or int(present[-1]) != len(present) - 1:
        raise ValueError(
            f"labels of old features: {len(present):,} different ones from {present[0]} to {present[-1]}, expected 0 "
            f"to {len(present) - 1}: number the classes from 0 on and leave none out"
        )
    return torch.from_numpy(array.astype(np.int64))
