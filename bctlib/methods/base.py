"""What a training method may see and change, and the loop's fixed order of calls.

    method.prepare(preparation)             once: statistics of old features, synthesised classes
    head = method.build_head(...)           may be smaller, larger or fixed
    for each batch:
        method.loss(batch, head)            classification + compatibility with the old model
    method.finish(backbone, preparation)    may train a transform of new embeddings

`Independent` uses none of it; each method overrides only what it is about.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import nn

from ..losses import Head, class_means

RUNS_OLD = 1.2
"""Cost of a training step that also runs the old network on the batch, without gradient; 1 is one that does not."""


@dataclass
class OldModel:
    """phi_old and its head, frozen, with the names of the classes it was trained on."""

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
        """float32 [N,d_old] of distorted or plain float32 images [N,C,S,S]."""
        return self.backbone(images).float()


@dataclass
class Preparation:
    """What is known before training: the classes, the old model, and a way to go through the training images.

    classes: names of the new model's classes. new_to_old: int64 [C], each class's index in the old head, -1 where
    the old model never saw it. plain_batches: iterates over (images, labels) of this process's share of the training
    set, in the evaluation transform. device: where everything lives. total: the sum of a tensor over all processes that
    train together.
    """

    classes: tuple[str, ...]
    device: torch.device
    plain_batches: Callable[[], Iterable[tuple[torch.Tensor, torch.Tensor]]]
    old: OldModel | None = None
    total: Callable[[torch.Tensor], torch.Tensor] = lambda own: own

    @cached_property
    def new_to_old(self) -> torch.Tensor:
        if self.old is None:
            return torch.full((len(self.classes),), -1, device=self.device)
        index = {name: i for i, name in enumerate(self.old.classes)}
        return torch.tensor([index.get(name, -1) for name in self.classes], device=self.device)

    @cached_property
    def old_class_means(self) -> torch.Tensor:
        """P [C,d_old]: for each new class the mean of its images' unit old embeddings (not re-normalised).

        Computed once, without gradient, in the evaluation transform (Sec. 2.5; averaging as the set function).
        """
        embedded = ((self.old.embed(images), labels) for images, labels in self.plain_batches())
        return class_means(embedded, len(self.classes), self.old.dim, self.device, self.total)


@dataclass
class Batch:
    """One batch of distorted training images and what is known of it.

    images: float32 [N,C,S,S]. labels: int64 [N] into the new classes. old_labels: int64 [N] into the old head's
    classes, -1 where the old model never saw the class. embedding: float32 [N,d_new] with gradient, phi_new(images).
    seen: bool [N], always on the CPU: whether the image's class is in T_old. None: computed from `old_labels`.
    """

    images: torch.Tensor
    labels: torch.Tensor
    old_labels: torch.Tensor
    old: OldModel | None
    embedding: torch.Tensor
    seen: torch.Tensor | None = None

    def __post_init__(self):
        if self.seen is None:
            self.seen = self.old_labels.cpu() >= 0

    @property
    def comparable(self) -> torch.Tensor:
        """[N,d_old]: the part of the new embedding that is compared with old ones, its first d_old elements."""
        return self.embedding[:, : self.old.dim]

    def rows(self, tensor: torch.Tensor, chosen: torch.Tensor) -> torch.Tensor:
        """Those rows of a tensor [N,...] on any device. chosen: bool [N], on the CPU: nothing waits for a GPU."""
        index = chosen.nonzero()[:, 0]
        if tensor.is_cuda:  # from page-locked memory: a plain copy would wait for all work queued on the GPU
            index = index.pin_memory()
        return tensor[index.to(tensor.device, non_blocking=True)]

    def old_embedding(self, chosen: torch.Tensor) -> torch.Tensor:
        """phi_old of the chosen images (see `rows`), float32 [n,d_old], without gradient; no others are computed."""
        return self.old.embed(self.rows(self.images, chosen))


class Method:
    """Base of all methods; alone it is independent training (Eq. 6).

    name: what recipes and command lines call the method; a class without one of its own is no method. needs_old: there
    must be an old model. needs_shared: it must know some class of the new data, or nothing is bound. cost: seconds of
    a training step relative to independent training, for estimates; RUNS_OLD where the old network is run in each.
    """

    name: str
    needs_old = True
    needs_shared = True
    cost = 1.0

    def runs_old(self, unseen: int) -> bool:
        """Whether phi_old itself is run, not its head alone. unseen: new classes that the old head does not know."""
        return False

    def prepare(self, preparation: Preparation) -> None:
        """Compute, once and without gradient, what the loss will need of the old model."""

    def head_classes(self, preparation: Preparation) -> tuple[str, ...]:
        """Names of the classes of the new model's own head."""
        return preparation.classes

    def build_head(self, build: Callable[[int], Head], classes: int) -> Head:
        """The new model's head; `build(classes)` makes the recipe's. A method with a fixed classifier overrides."""
        return build(classes)

    def parameters(self) -> Iterable[nn.Parameter]:
        """Parameters of the method's own that are trained along."""
        return ()

    def classification(self, batch: Batch, head: Head) -> torch.Tensor:
        """L(w_c, w_phi; T_new), the new model's own loss."""
        return head.loss(batch.embedding, batch.labels)

    def compatibility(self, batch: Batch) -> torch.Tensor:
        """The term that binds the new embedding to the old one, weight included."""
        return batch.embedding.new_zeros(())

    def loss(self, batch: Batch, head: Head) -> torch.Tensor:
        return self.classification(batch, head) + self.compatibility(batch)

    def finish(self, backbone: nn.Module, preparation: Preparation) -> nn.Module | None:
        """A transform of new embeddings [N,d_new] -> [N,d_old] for comparison with old ones; None: the prefix."""
        return None


class Independent(Method):
    """phi*_new: no old model at all, the paragon when the gallery is backfilled (Sec. 2.3, 3.4)."""

    name = "independent"
    needs_old = False
    needs_shared = False
