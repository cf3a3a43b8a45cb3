"""Diagnostics of trained models: directions used, energy of queries in the old span, and how far training went.

Saved as results of their own by every experiment (`companion.measure.run`), for notebook 01 and docs/recipe.md.
"""

from collections.abc import Iterable, Iterator
from itertools import islice

import numpy as np
import torch

from bctlib.metrics.spectrum import participation_ratio, span_energy
from bctlib.models import find_model
from bctlib.training.artefact import Artefact
from bctlib.training.features import comparable
from companion.results import save_rows
from companion.workbench import Workbench

DIAGNOSTICS = "diagnostics"
RATIO, ENERGY, LOSS, ACCURACY = "participation ratio", "energy in the old span", "final loss", "training accuracy"
EMBEDDING, HEAD, TRAINING = "embedding", "head", "training"
"""Protocols: of what a number is."""
_BATCHES, _BATCH = 4, 1024
"""Training accuracy is that of the first 4,096 training images, undistorted."""


def save_diagnostics(bench: Workbench, names: Iterable[str]) -> None:
    """Measure the named models, which must be trained, and save a row for each number.

    Of every model: participation ratio of the embeddings of all test images and of the head's rows, mean loss of the
    last epoch, and training accuracy in per cent (nearest row of the head). Of a model and the one it was trained
    against, and of an old model with itself: the energy of test embeddings in the old head's span, in per cent. A model
    that comes without its head lacks the rows about it.
    """
    rows = []
    for name in names:
        old = find_model(name).old
        for gallery, protocol, metric, value, n in _measured(bench, name, old or name):
            measured = {"protocol": protocol, "metric": metric, "operating_point": "", "value": value, "n_behind": n}
            rows.append(bench.about(name, gallery) | measured)
    save_rows(rows, bench.scale, DIAGNOSTICS)


def _measured(bench: Workbench, name: str, old: str) -> Iterator[tuple[str, str, str, float, int]]:
    model, features = bench.model(name), bench.features(name)
    yield name, EMBEDDING, RATIO, participation_ratio(features), len(features)
    yield name, TRAINING, LOSS, model.training.losses[-1], len(model.training.losses)
    if model.head is not None:
        yield name, HEAD, RATIO, participation_ratio(_rows(model)), len(_rows(model))
        accuracy, n = training_accuracy(bench, model, find_model(name).share)
        yield name, TRAINING, ACCURACY, 100 * accuracy, n
    against = bench.model(old)
    if against.head is not None:
        queries = comparable(features, against.dim, model.transform if name != old else None)
        yield old, EMBEDDING, ENERGY, 100 * span_energy(queries, _rows(against)), len(queries)


def _rows(model: Artefact) -> np.ndarray:
    return model.head.weight.detach().float().cpu().numpy()


@torch.no_grad()
def training_accuracy(bench: Workbench, model: Artefact, share: float) -> tuple[float, int]:
    """The share of the first training images whose nearest head row, by cosine, is their class; and their number."""
    right = total = 0
    weight = torch.nn.functional.normalize(model.head.weight.float())
    for images, labels in islice(bench.data.training_set(share, bench.seed).plain_batches(_BATCH), _BATCHES):
        nearest = (model.embed(images.to(bench.on)) @ weight.T).argmax(dim=1)
        right += int((nearest.cpu() == labels).sum())
        total += len(labels)
    return right / total, total
