"""Writes the features that come with the desk models into `models/desk/features/`: `python -m dev.ship_features`.

Models are those of the store or, where it lacks one, of `models/desk/`; their embeddings are kept in the store. Old
models (those that Table 1 searches) come with both sides of the 1:1 protocol, the others with the first side, and all
with a sample of the training images that notebook 08 fits maps to.
"""

import shutil
import sys
from pathlib import Path

import numpy as np

from bctlib.base.errors import BctError
from bctlib.base.files import replace_atomically
from bctlib.data.desk_features import FORMAT, digest_of_features, features_folder, file_name
from bctlib.data.templates import TemplateSet, template_embeddings
from bctlib.metrics import tar_at_far
from bctlib.metrics.blocks import unit_rows
from bctlib.metrics.identification import search, tpir_over_galleries
from bctlib.metrics.verification import verification_scores
from bctlib.training.devices import training_provenance
from bctlib.training.tensors_file import as_text, write_tensors
from companion.measure.mapped.every_map import training_features, training_identities
from companion.workbench import Workbench

MODELS = ("old", "new*", "new-bct", "new-bct-kd", "new-bct-sys")
SEARCHED = ("old", "new*")
"""Models whose galleries Table 1 searches."""
PAIRS = 2_000
"""Training images to fit maps to. Notebook 08's curve has this number: ridge loses little to ten times as many."""
COMPARED = (("old", "old"), ("new-bct", "old"), ("new-bct-kd", "old"), ("new-bct-sys", "old"), ("new*", "new*"))
FAR, FPIR = 1e-4, 1e-2
Arrays = dict[str, np.ndarray]
CARD = """# Features of the desk models

Embeddings by models of [models/desk](../README.md), seed 0, for metrics and maps without torch:
`load_desk_features("new-bct")` of `bctlib.data.desk_features`, with worked examples for
[metrics](../../../docs/evaluation.md#an-example-without-images-or-torch) and
[maps](../../../docs/align.md#an-example-without-images-or-torch). Written by `python -m dev.ship_features`.
Licence: MIT, as the code.

Each file holds float16 rows of norm 1 with the identity of each row (index into the glyph set), and its own digest:

* `first`: first templates of the 1:1 protocol of [the data](../../../docs/data.md), which a query model embeds.
* `second`: second templates, for the models that Table 1 searches. `second.gallery` is 1 or 2 where a template is also
  the one of its identity in G1 or G2 of the 1:N protocol.
* `training`: the first {pairs:,} of the distorted training images that notebook 08 fits its maps to.

The 1:1 accuracies are those of Table 1. The 1:N accuracies are not: the first templates search the galleries, because
Table 1's probes ({probes:,} a model, {megabytes:.1f} MB) would make all of this three and a half times as large.
In per cent, before rounding to float16 and from the files:

| query | gallery | TAR@FAR={far:g} | from the files | TPIR@FPIR={fpir:g} | from the files |
|---|---|---|---|---|---|
"""


def ship(folder: Path) -> None:
    """Write a file for each of MODELS, and the card, in place of the folder. Raises BctError if one cannot be made."""
    bench = Workbench("desk", 0, "cpu")
    exact = {model: arrays_of(bench, model) for model in MODELS}
    stored = {model: _rounded(arrays) for model, arrays in exact.items()}
    card = _card(bench, exact, stored)
    shutil.rmtree(folder, ignore_errors=True)
    for model, arrays in stored.items():
        _write(folder / file_name(model), bench, model, arrays)
    replace_atomically(folder / "README.md", lambda path: path.write_text(card, encoding="utf-8"))


def arrays_of(bench: Workbench, model: str) -> Arrays:
    """What the file of a model holds, in float32 where the file has float16."""
    features, verification = bench.features(model), bench.protocols().verification
    arrays = _part("first", template_embeddings(features, verification.first), verification.first.identity)
    if model in SEARCHED:
        second = verification.second
        arrays |= _part("second", template_embeddings(features, second), second.identity)
        arrays["second.gallery"] = _enrolled(second, bench.protocols().identification.galleries)
    number = {character: index for index, character in enumerate(bench.glyphs.characters)}
    identity = np.array([number[each] for each in training_identities(bench)[:PAIRS]])
    return arrays | _part("training", unit_rows(training_features(bench, model)[:PAIRS]), identity)


def _part(name: str, features: np.ndarray, identity: np.ndarray) -> Arrays:
    return {f"{name}.features": features, f"{name}.identity": identity.astype(np.int16)}


def _enrolled(second: TemplateSet, galleries: tuple[TemplateSet, TemplateSet]) -> np.ndarray:
    """int8 [t]: 1 or 2 where the second template is that of G1 or G2 (the same images), else 0."""
    owner = {
        (int(identity), *gallery.images_of(row).tolist()): number
        for number, gallery in enumerate(galleries, 1)
        for row, identity in enumerate(gallery.identity)
    }
    found = [owner.get((int(each), *second.images_of(row).tolist()), 0) for row, each in enumerate(second.identity)]
    return np.array(found, np.int8)


def _rounded(arrays: Arrays) -> Arrays:
    return {name: each.astype(np.float16) if each.dtype == np.float32 else each for name, each in arrays.items()}


def _write(path: Path, bench: Workbench, model: str, stored: Arrays) -> None:
    device = training_provenance(bench.on)["device"]
    about = {"format": FORMAT, "model": model, "key": bench.recipe(model).key, "device": device}
    about["digest"] = digest_of_features(about, stored)
    write_tensors(path, stored, as_text(about), "np", put=replace_atomically)


def _card(bench: Workbench, exact: dict[str, Arrays], stored: dict[str, Arrays]) -> str:
    probes = bench.protocols().identification.probes.size
    row = exact["old"]["first.features"].shape[1] * np.dtype(np.float16).itemsize
    card = CARD.format(pairs=PAIRS, probes=probes, megabytes=probes * row / 1e6, far=FAR, fpir=FPIR)
    for query, gallery in COMPARED:
        numbers = zip(*(accuracies(each[query], each[gallery]) for each in (exact, stored)), strict=True)
        cells = (query, gallery, *(f"{number:.2f}" for pair in numbers for number in pair))
        card += f"| {' | '.join(cells)} |\n"
    return card


def accuracies(query: Arrays, gallery: Arrays) -> tuple[float, float]:
    """TAR at FAR of first against second templates, and TPIR at FPIR of first templates in G1 and G2, in per cent."""
    first, second = ([each[f"{part}.{name}"] for name in ("features", "identity")]
                     for each, part in ((query, "first"), (gallery, "second")))  # fmt: skip
    scores = verification_scores(*first, *second)
    enrolled = gallery["second.gallery"]
    found = [search(*first, *(each[enrolled == number] for each in second)) for number in (1, 2)]
    tar = tar_at_far(scores.genuine, scores.impostor, FAR, scores.n_impostors)
    return 100 * tar, 100 * tpir_over_galleries(found, FPIR)


if __name__ == "__main__":
    try:
        ship(features_folder())
    except BctError as error:
        sys.exit(str(error))
