"""A process of its own that wants tiny models: `python train_tiny_model.py EPOCHS...`, with BCT_STORE set."""

import sys

import torch
from tiny import tiny_recipe, tiny_set

from bctlib.training.store import fetch

if __name__ == "__main__":
    torch.set_num_threads(1)
    for epochs in map(int, sys.argv[1:]):
        fetch(tiny_recipe(epochs=epochs), tiny_set, None, torch.device("cpu"), f"{epochs} epochs")
