"""The losses of the paper: classification (Eq. 4), influence (Eq. 8), distillation (App. A).

    L_BCT(w_c, w_phi; T_new, T_BCT) = L(w_c, w_phi; T_new) + lambda * L(w_c old, w_phi; T_BCT)            (Eq. 8)

Both terms are cross-entropies of a classification head kappa on an embedding phi(x): the new head in the first, the
frozen old head in the second (`influence_loss`). A head (SoftMax, Norm-Softmax or Cosine Margin; Sec. 3.2, 3.6) holds
its class weights w_c, scale and margin, so the old head is one frozen module.

Where the old head lacks a class, `class_means` gives its synthesised row: the mean of the class's unit old embeddings
(Sec. 2.5). Where the old head is lost, `head_of_features` builds one from old features. This file needs torch and
NumPy only and can be copied.
"""

import copy
import math
from collections.abc import Callable, Iterable, Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn


class Head(nn.Module):
    """Class weights w_c [C,d] and the cross-entropy of Eq. 4. kind: the name in recipes and model files."""

    kind: str

    def __init__(self, classes: int, dim: int):
        super().__init__()
        self.weight = nn.Parameter(torch.empty(classes, dim))
        nn.init.normal_(self.weight, std=1 / math.sqrt(dim))

    @property
    def classes(self) -> int:
        return self.weight.shape[0]

    @property
    def dim(self) -> int:
        return self.weight.shape[1]

    def settings(self) -> dict[str, float]:
        """The constructor's further arguments (scale, margin), to build this head again."""
        return {}

    def logits(self, z: torch.Tensor) -> torch.Tensor:
        """Logits [N,C] of embeddings [N,d], without the margin, multiplied by the scale."""
        raise NotImplementedError

    def training_logits(self, z: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        """Training logits [N,C]. The margin, if any, is subtracted from the target logit."""
        return self.logits(z)

    def loss(self, z: torch.Tensor, labels: torch.Tensor, margin: bool = True) -> torch.Tensor:
        """Cross-entropy (Eq. 4) over the images that have a label, divided by the size of the whole batch.

        z: float [N,d]; labels: int64 [N], -1 for an image of none of this head's classes; margin: whether to use the
        head's margin. Both terms of Eq. 8 are sums over images, so both are divided by the same N; a batch without a
        labelled image gives 0 with a zero gradient, not NaN.
        """
        logits = self.training_logits(z, labels) if margin else self.logits(z)
        total = F.cross_entropy(logits, labels, ignore_index=-1, reduction="sum")
        return total / len(labels)

    def with_classes(self, rows: torch.Tensor) -> "Head":
        """A frozen copy with `rows` [K,d] as K further classes (Sec. 2.5, synthesised)."""
        extended = type(self)(self.classes + len(rows), self.dim, **self.settings())
        with torch.no_grad():
            extended.weight.copy_(torch.cat([self.weight, rows.to(self.weight)]))
        return extended.to(self.weight.device).requires_grad_(False)

    def with_only(self, classes: torch.Tensor) -> "Head":
        """A frozen copy with the rows of `classes` (int64 [K]) alone, in their order."""
        part = copy.deepcopy(self)
        for name, parameter in self.named_parameters():  # each has one row per class
            setattr(part, name, nn.Parameter(parameter.detach()[classes], requires_grad=False))
        return part


class SoftMax(Head):
    """Inner products of embedding and class weights, plus a bias."""

    kind = "softmax"

    def __init__(self, classes: int, dim: int):
        super().__init__(classes, dim)
        self.bias = nn.Parameter(torch.zeros(classes))

    def logits(self, z: torch.Tensor) -> torch.Tensor:
        return F.linear(z, self.weight, self.bias)

    def with_classes(self, rows: torch.Tensor) -> "SoftMax":
        extended = super().with_classes(rows)
        with torch.no_grad():
            extended.bias[: self.classes] = self.bias
        return extended


class NormSoftmax(Head):
    """Cosines of embedding and class weights times a fixed scale (the paper's [33])."""

    kind = "norm-softmax"

    def __init__(self, classes: int, dim: int, scale: float = 32.0):
        super().__init__(classes, dim)
        self.scale = scale

    def settings(self) -> dict[str, float]:
        return {"scale": self.scale}

    def logits(self, z: torch.Tensor) -> torch.Tensor:
        # The scale on [N,d] instead of [N,C]: the same bits for a power of two, and a tenth less time.
        return F.linear(self.scale * F.normalize(z), F.normalize(self.weight))


class CosineMargin(NormSoftmax):
    """Norm-Softmax with a margin on the target class's cosine (the paper's [34], margin 0.4)."""

    kind = "cosine-margin"

    def __init__(self, classes: int, dim: int, scale: float = 32.0, margin: float = 0.4):
        super().__init__(classes, dim, scale)
        self.margin = margin

    def settings(self) -> dict[str, float]:
        return {"scale": self.scale, "margin": self.margin}

    def training_logits(self, z: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        target, labelled = labels.clamp(min=0).unsqueeze(1), (labels >= 0).to(z.dtype).unsqueeze(1)
        return self.logits(z).scatter_add_(1, target, -self.scale * self.margin * labelled)


HEADS: dict[str, type[Head]] = {head.kind: head for head in (SoftMax, NormSoftmax, CosineMargin)}


def build_head(kind: str, classes: int, dim: int, **settings: float) -> Head:
    """A new head of the named kind. Raises ValueError for an unknown kind or setting."""
    if kind not in HEADS:
        raise ValueError(f"unknown head {kind!r}: expected one of {', '.join(HEADS)}")
    try:
        return HEADS[kind](classes, dim, **settings)
    except TypeError as error:
        raise ValueError(f"head {kind!r} does not take these settings: {', '.join(sorted(settings))}") from error


def frozen_head(
    weight: torch.Tensor, bias: torch.Tensor | None = None, scale: float | None = None, margin: float | None = None
) -> Head:
    """An old model's classifier as a frozen head, ready for the influence loss.

    weight: [C,d], a row for each class. With a scale it is a Norm-Softmax, with scale and margin a Cosine Margin, with
    neither a SoftMax with bias [C] (None: 0). Raises ValueError for other shapes, for numbers that are not finite, for
    a margin without a scale, and for a bias with a scale.
    """
    weight = torch.as_tensor(weight).detach().float()
    if weight.dim() != 2 or 0 in weight.shape:
        raise ValueError(f"the old classifier has shape {tuple(weight.shape)}, expected [classes, dimension]")
    if bias is not None and bias.shape != weight.shape[:1]:
        raise ValueError(f"the old classifier's bias has shape {tuple(bias.shape)}, expected [{len(weight)}]")
    if not all(tensor.isfinite().all() for tensor in (weight, bias) if tensor is not None):
        raise ValueError("the old classifier holds NaN or infinite values, expected finite numbers")
    if scale is None:
        if margin is not None:
            raise ValueError("a margin without a scale was given for the old classifier, expected both or none")
        head: Head = SoftMax(*weight.shape)
    elif bias is not None and bias.any():
        raise ValueError("the old classifier has a bias, but a scale was given: a cosine head has no bias")
    else:
        head = NormSoftmax(*weight.shape, scale) if margin is None else CosineMargin(*weight.shape, scale, margin)
    with torch.no_grad():
        head.weight.copy_(weight)
        if bias is not None and scale is None:
            head.bias.copy_(bias)
    return head.eval().requires_grad_(False)


def influence_loss(
    embedding: torch.Tensor, old_labels: torch.Tensor, old_head: Head, margin: bool = True
) -> torch.Tensor:
    """L(w_c old, w_phi; T_BCT) of Eq. 8: the frozen old head's loss on the new embedding.

    embedding: float [N,d_new]; the old head takes its first d_old elements (Sec. 3.6). old_labels: int64 [N] into the
    old head's classes, -1 for a class that it does not know. margin: whether to use the old head's margin. The sum
    over the labelled images is divided by N.
    """
    return old_head.loss(embedding[:, : old_head.dim], old_labels, margin=margin)


def distillation_loss(
    embedding: torch.Tensor, old_embedding: torch.Tensor, old_head: Head, images: int | None = None
) -> torch.Tensor:
    """Cross-entropy between the old head's softmax of the old and of the new embeddings of the same images (App. A).

    embedding: float [N,d_new]; the old head takes its first d_old elements. old_embedding: float [N,d_old], without
    gradient. The old head's scale acts as the inverse temperature; no margin. The sum is divided by `images` (None: N).
    """
    target = F.softmax(old_head.logits(old_embedding), dim=1)
    predicted = F.log_softmax(old_head.logits(embedding[:, : old_head.dim]), dim=1)
    return -(target * predicted).sum() / (len(embedding) if images is None else images)


def class_means(
    embedded: Iterable[tuple[torch.Tensor, torch.Tensor]],
    classes: int,
    dim: int,
    device: torch.device,
    total: Callable[[torch.Tensor], torch.Tensor] = lambda own: own,
) -> torch.Tensor:
    """The mean of each class's unit embeddings (Sec. 2.5): float32 [classes,dim] on `device`, not re-normalised.

    embedded: batches of embeddings and their classes, (float32 [n,dim], int64 [n]). A class without an embedding gets
    a row of zeros. total: sums a tensor over all processes, if each process has a part of the embeddings.
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
    """A frozen cosine head whose class weights are the class means of old features, for a lost classifier.

    features: [n,d], of any norm; labels: integers [n], 0 to C-1, each class at least once. margin: None for
    Norm-Softmax. names: of the classes, for messages. The head is on the features' device. Raises ValueError for other
    shapes or labels, for a row that is not finite, and for a class whose features are zero or cancel out.
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
    """The labels as int64 [n]. Raises ValueError unless each of 0 to C-1 occurs."""
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
