"""How fast each model of a share was trained: rows of the table `training_speed`, protocol `whole training`.

Of each model: images per second, the device's matrix peak measured by the same process, and the share of it in per
cent. Operations are those of the trained network and head, forward and backward; what a method asks of the old model
is not counted. The time is all of the training, with what compiling took.
"""

import math
from functools import cache

import torch

from bctlib.models import find_model
from bctlib.training.devices import training_provenance
from companion.launcher.share.matrix_peak import MatrixPeak, flops_of, matrix_peak
from companion.measure.training_speed import IMAGES_PER_S, SPEED_TABLE
from companion.results import rows_of, save_rows
from companion.workbench import Workbench

WHOLE, PEAK, SHARE = "whole training", "matrix peak, operations per second", "share of the matrix peak, %"


def save_speed(bench: Workbench, name: str) -> None:
    """Save the rows of a model that is trained. n_behind: its epochs."""
    model, old = bench.model(name), find_model(name).old or name
    images, _ = next(bench.data.generated(2).plain_batches(2))
    flops = sum(flops_of(model.recipe, len(model.classes), tuple(images.shape[1:])).values())
    peak, rate = _peak(bench.on).flops_per_s, model.training.images_per_s
    measured = {IMAGES_PER_S: rate, PEAK: peak, SHARE: 100 * flops * rate / peak}
    about = bench.about(name, old) | _about(model.recipe.backbone) | {"n_behind": len(model.training.losses)}
    save_rows([about | {"metric": metric, "value": value} for metric, value in measured.items()],
              bench.scale, SPEED_TABLE)  # fmt: skip


def save_divergence(bench: Workbench, name: str) -> None:
    """Save that a model's loss is not finite, as a rate that is not a number, so that no one trains it again."""
    spec, recipe = find_model(name), bench.recipe(name)
    about = {"seed": bench.seed, "method": spec.method, "query_model": name, "gallery_model": spec.old or name}
    measured = {"metric": IMAGES_PER_S, "value": math.nan, "n_behind": 0, "seconds": 0.0}
    rows = [about | _about(recipe.backbone) | measured | training_provenance(bench.on)]
    save_rows(rows, bench.scale, SPEED_TABLE)


def diverged_models(bench: Workbench) -> set[str]:
    """Names of models of this seed whose loss was not finite on this device."""
    rows = rows_of(bench.scale, SPEED_TABLE, training_provenance(bench.on)["device"])
    rows = rows[(rows["seed"] == bench.seed) & (rows["protocol"] == WHOLE) & rows["value"].isna()]
    return set(rows["query_model"])


def _about(network: str) -> dict[str, str]:
    return {"protocol": WHOLE, "operating_point": network}


@cache
def _peak(device: torch.device) -> MatrixPeak:
    return matrix_peak(device)
