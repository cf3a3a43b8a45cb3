"""Trains a tiny old and a tiny new model in a process of its own, which may be killed at any moment."""

import multiprocessing
import os
import signal
from multiprocessing.process import BaseProcess
from pathlib import Path

import torch
from tiny import tiny_recipe, tiny_set

from bctlib.training.artefact import Artefact
from bctlib.training.recipe import Recipe
from bctlib.training.store import fetch

CPU = torch.device("cpu")


def recipes(seed: int, epochs: int) -> tuple[Recipe, Recipe]:
    """Of the old model, and of the new one, whose method has parameters of its own."""
    old = tiny_recipe(seed=seed, epochs=epochs, dim=6)
    return old, tiny_recipe(seed=seed, epochs=epochs, method="bct-map", old=old.key)


def train_both(seed: int, epochs: int) -> Artefact:
    old_recipe, new_recipe = recipes(seed, epochs)
    old = fetch(old_recipe, lambda: tiny_set("ac"), None, CPU, "old")
    return fetch(new_recipe, tiny_set, old, CPU, "new")


def start(store: Path, seed: int, epochs: int, die_at: float | None = None) -> BaseProcess:
    """A process that trains both into `store`. die_at: it kills itself just before (3.0) or after (3.5) its third
    renaming of a file, counted from 0."""
    context = multiprocessing.get_context("forkserver")  # which imports once what takes seconds
    context.set_forkserver_preload(["bctlib.training.store", "torch._dynamo"])  # the optimiser imports it
    process = context.Process(target=_child, args=(str(store), seed, epochs, die_at))
    process.start()
    return process


def _child(store: str, seed: int, epochs: int, die_at: float | None) -> None:
    torch.set_num_threads(1)
    os.environ |= {"BCT_STORE": store, "BCT_PROGRESS": f"{store}.events"}
    rename, done = os.replace, [0]

    def rename_and_die(source, target) -> None:
        if done[0] == die_at:
            os.kill(os.getpid(), signal.SIGKILL)
        rename(source, target)
        if done[0] + 0.5 == die_at:
            os.kill(os.getpid(), signal.SIGKILL)
        done[0] += 1

    os.replace = rename_and_die
    train_both(seed, epochs)
