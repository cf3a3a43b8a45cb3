"""What a training method sees and what it can change. The training loop calls it in this order:

    method.prepare(preparation)             once: class means of old features, synthesised classes
    head = method.build_head(...)           may have fewer classes, more classes or fixed weights
    for each batch:
        method.loss(batch, head)            classification + compatibility with the old model
    method.finish(backbone, preparation)    may return a transform of new embeddings

Each method overrides only what it needs; `Independent` overrides nothing.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property

import torch
import torch.nn.functional as F
from torch import nn

from ..losses import Head, class_means

RUNS_OLD = 1.2
"""Relative cost of a training step that also runs the old network on the batch, without gradient."""


@dataclass
class OldModel:
    """phi_old and its head, both frozen, and the names of the classes they were trained on."""

    backbone: nn.Module
    head: Head
    classes: tuple[str, ...]

    def __post_init__(self):
        for module in (self.backbone, self.head):
            module.eval().requires_grad_(False)

    @property
    def dim(self) -> int:
        return self.head.dim

    @torch.no_grad()
    def embed(self, images: torch.Tensor) -> torch.Tensor:
        """Embeddings float32 [N,d_old] of images float32 [N,C,S,S], without gradient."""
        return self.backbone(images).float()


@dataclass
class Preparation:
    """What is known before training: the classes, the old model, and the training images without distortion.

    classes: names of the new model's classes. device: of networks and batches. plain_batches: iterates over (images,
    labels) of this process's share of the training set, in the evaluation transform. Over all processes that train
    together: total, least: the sum and the smallest values of a tensor; whole_batch: the rows of a tensor [N,...] for
    the images of the whole batch, without gradient; common_norms: a network with its batch normalisation over all.
    """

    classes: tuple[str, ...]
    device: torch.device
    plain_batches: Callable[[], Iterable[tuple[torch.Tensor, torch.Tensor]]]
    old: OldModel | None = None
    total: Callable[[torch.Tensor], torch.Tensor] = lambda own: own
    least: Callable[[torch.Tensor], torch.Tensor] = lambda own: own
    whole_batch: Callable[[torch.Tensor], torch.Tensor] = torch.Tensor.detach
    common_norms: Callable[[nn.Module], nn.Module] = lambda own: own

    @cached_property
    def new_to_old(self) -> torch.Tensor:
        """int64 [C]: each class's index in the old head, -1 for a class that the old model never saw."""
        if self.old is None:
            return torch.full((len(self.classes),), -1, device=self.device)
        index = {name: i for i, name in enumerate(self.old.classes)}
        return torch.tensor([index.get(name, -1) for name in self.classes], device=self.device)

    @cached_property
    def old_class_means(self) -> torch.Tensor:
        """float32 [C,d_old]: for each new class the mean of its images' unit old embeddings, not re-normalised.

        Computed once, without gradient, in the evaluation transform (Sec. 2.5).
        """
        embedded = ((self.old.embed(images), labels) for images, labels in self.plain_batches())
        return class_means(embedded, len(self.classes), self.old.dim, self.device, self.total)

    def least_cosine(self, means: torch.Tensor) -> torch.Tensor:
        """float32 [C]: the smallest cosine of a class's old embeddings with its unit row of `means` [C,d_old].

        In the evaluation transform, without gradient; 1 for a class without images.
        """
        found = torch.ones(len(self.classes), device=self.device)
        for cosines, labels in self._cosines(means):
            found.scatter_reduce_(0, labels, cosines, "amin")
        return self.least(found)

    def cosine_quantile(self, means: torch.Tensor, share: float) -> torch.Tensor:
        """float32 [C]: the cosine below which that share of a class's images lies, to 0.005 (see `least_cosine`)."""
        n = 400  # bins from -1 to 1: several processes need only add up their counts
        counts = torch.zeros(len(self.classes), n, device=self.device)
        for cosines, labels in self._cosines(means):
            bins = ((cosines + 1) / 2 * n).long().clamp(0, n - 1)
            counts.index_put_((labels, bins), counts.new_ones(()), accumulate=True)
        below = self.total(counts).cumsum(1)
        return 2 * (below <= share * below[:, -1:]).sum(1) / n - 1

    def _cosines(self, means: torch.Tensor) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        """Cosine of each image's old embedding with its class's row of `means`, and its label, batch by batch."""
        for images, labels in self.plain_batches():
            labels = labels.to(self.device)
            yield (F.normalize(self.old.embed(images)) * means[labels]).sum(1), labels


@dataclass
class Batch:
    """One batch of N distorted training images.

    images: float32 [N,C,S,S]. labels: int64 [N] into the new classes. old_labels: int64 [N] into the old head's
    classes, -1 for a class that the old model never saw. embedding: float32 [N,d_new] with gradient, phi_new(images).
    seen: bool [N], always on the CPU: whether the image's class is in T_old. None: computed from `old_labels`.
    draws: float32 [N], on the CPU: a random number from 0 to 1 for each image, for methods that draw; the same ones
    however many processes share the batch. None: drawn now. progress: share of the training that is done, 0 to 1.
    """

    images: torch.Tensor
    labels: torch.Tensor
    old_labels: torch.Tensor
    old: OldModel | None
    embedding: torch.Tensor
    seen: torch.Tensor | None = None
    draws: torch.Tensor | None = None
    progress: float = 0.0

    def __post_init__(self):
        if self.draws is None:
            self.draws = torch.rand(len(self.labels))
        if self.seen is None:
            self.seen = self.old_labels.cpu() >= 0

    @property
    def comparable(self) -> torch.Tensor:
        """float32 [N,d_old]: the first d_old elements of the new embedding, which are compared with old embeddings."""
        return self.embedding[:, : self.old.dim]

    def rows(self, tensor: torch.Tensor, chosen: torch.Tensor) -> torch.Tensor:
        """The chosen rows of a tensor [N,...] on any device. chosen: bool [N], on the CPU (no GPU is waited for)."""
        index = chosen.nonzero()[:, 0]
        if tensor.is_cuda:  # from page-locked memory: a plain copy would wait for all work queued on the GPU
            index = index.pin_memory()
        return tensor[index.to(tensor.device, non_blocking=True)]

    def old_embedding(self, chosen: torch.Tensor) -> torch.Tensor:
        """phi_old of the chosen images only (see `rows`): float32 [n,d_old], without gradient."""
        return self.old.embed(self.rows(self.images, chosen))


class Method:
    """Base of all methods; alone it is independent training (Eq. 6).

    name: of the method in recipes and command lines; a class without its own name is not listed. needs_old: whether it
    needs an old model. needs_shared: whether the old model must know some class of the new data. cost: seconds of a
    training step relative to independent training, for estimates; RUNS_OLD if each step runs the old network.
    """

    name: str
    needs_old = True
    needs_shared = True
    cost = 1.0

    def runs_old(self, unseen: int) -> bool:
        """Whether phi_old is run, not only the old head. unseen: number of new classes that the old head lacks."""
        return False

    def prepare(self, preparation: Preparation) -> None:
        """Compute once, without gradient, what the loss needs from the old model."""

    def head_classes(self, preparation: Preparation) -> tuple[str, ...]:
        """Names of the classes of the new model's head."""
        return preparation.classes

    def build_head(self, build: Callable[[int], Head], classes: int) -> Head:
        """The new model's head: `build(classes)`, the recipe's, unless the method has its own classifier."""
        return build(classes)

    def parameters(self) -> Iterable[nn.Parameter]:
        """The method's own parameters, which the optimiser trains too."""
        return ()

    def classification(self, batch: Batch, head: Head) -> torch.Tensor:
        """L(w_c, w_phi; T_new): the new model's classification loss (Eq. 4), a scalar."""
        return head.loss(batch.embedding, batch.labels)

    def compatibility(self, batch: Batch) -> torch.Tensor:
        """The term that makes the new embedding compatible with the old one, times its weight; a scalar."""
        return batch.embedding.new_zeros(())

    def loss(self, batch: Batch, head: Head) -> torch.Tensor:
        return self.classification(batch, head) + self.compatibility(batch)

    def finish(self, backbone: nn.Module, preparation: Preparation) -> nn.Module | None:
        """A map of new embeddings [N,d_new] to [N,d_old], to compare with old ones; None: the first d_old elements."""
        return None


class Independent(Method):
    """phi*_new: trained without an old model; the upper bound, with a backfilled gallery (Sec. 2.3, 3.4)."""

    name = "independent"
    needs_old = False
    needs_shared = False
