"""Writes the models that come with the project into `models/desk/`, from the store: `python -m dev.ship_models`.

Seed 0 of Table 1's models and the wide model of notebook 07. Weights are float32; a model that no other is trained
against goes without its head, which is larger than its network. Their features (`dev.ship_features`) are written anew.
"""

import shutil
import sys
from dataclasses import replace

import torch

from bctlib.base.errors import BctError
from bctlib.base.locations import shipped_models_dir
from bctlib.data.desk_features import features_folder
from bctlib.models import find_model
from bctlib.training.artefact import Artefact, load_artefact, save_artefact
from bctlib.training.store import model_file
from companion.experiments import find_experiment
from companion.workbench import Workbench
from dev import ship_features

SCALE = "desk"
WIDE = "new-deep-256d"
CARD = """# Trained models of desk scale

Seed 0 of the models of Table 1, and the wide model of notebook 07, so that `./reproduce.sh tour` and
`./reproduce.sh table1` show their result without training. The store finds each by the key of its recipe, the last part
of the file's name before the suffix; `--force` trains it anew. Beside each file lies its SHA-256. Written by
`python -m dev.ship_models`.

* **Use**: reproduction of the paper's tables; not for recognising kanji. Input: grey pictures of 32 x 32 pixels.
* **Training**: [docs/recipe.md](../../docs/recipe.md); data: [docs/data.md](../../docs/data.md). Weights: float32.
* **Features**: [features/](features/README.md) has embeddings of test and training images by five of the models, for
  metrics and maps without torch.
* **Licence**: MIT, as the code. Only `old`, which others are trained against, has its head.

| model | network | dimensions | method | training | seconds | bytes |
|---|---|---|---|---|---|---|
"""


def names() -> tuple[str, ...]:
    """The models that are shipped, `old` first."""
    return (*find_experiment("table1").models_at(1.0), WIDE)


def ship() -> None:
    """Write all of them, the model card and the features.

    Raises BctError if a model is not in the store; nothing is written then.
    """
    bench, folder = Workbench(SCALE, 0, "cpu"), shipped_models_dir() / SCALE
    recipes = {name: bench.recipe(name) for name in names()}
    models = {name: load_artefact(model_file(recipe.key)) for name, recipe in recipes.items()}
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    card = CARD
    needed = {find_model(name).old for name in models}
    for name, model in models.items():
        # A shell and some file systems give an asterisk a meaning.
        path = folder / f"{name.replace('*', '-star')}.{recipes[name].key}.safetensors"
        save_artefact(path, model if name in needed else replace(model, head=None))
        card += _line(name, model, path.stat().st_size)
    (folder / "README.md").write_text(card, encoding="utf-8")
    ship_features.ship(features_folder())


def _line(name: str, model: Artefact, size: int) -> str:
    recipe, training = model.recipe, model.training
    origin = f"{training.device}; torch {torch.__version__}; commit {training.commit}"
    cells = (name, recipe.backbone, recipe.dim, recipe.method, origin, round(training.seconds), f"{size:,}")
    return f"| {' | '.join(map(str, cells))} |\n"


if __name__ == "__main__":
    try:
        ship()
    except BctError as error:
        sys.exit(str(error))
