"""Does this model make these vectors? The command `bctlib check-index`, for an index that keeps no model ids.

    from bctlib.upgrade.check_index import check_index
    found = check_index("old.npy", "old.safetensors", "gallery")
    print(found.made_by_model, found.sentence())

A sample of the images is embedded anew and compared by cosine with the stored vectors.
"""

import argparse
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from bctlib.base.command import Parser, run_command
from bctlib.base.errors import BctError, UsageError
from bctlib.data.photos.framing import WholeImage
from bctlib.data.photos.sets import ImageFilePool
from bctlib.metrics.blocks import row_blocks, unit_rows
from bctlib.training.devices import choose_device
from bctlib.training.features import embed_files
from bctlib.upgrade.embed import add_model_options, check_amounts, open_embedder
from bctlib.upgrade.evaluate.inputs import Features, FeatureSource, faults_named, open_features
from bctlib.upgrade.images import images_to_embed

SAMPLE, LEAST = 100, 0.99
"""Other processors, batch sizes and image decoders move a cosine by less than 0.001; another training by far more."""
DESCRIPTION = """\
Embeds a sample of the images anew and compares them by cosine with the stored vectors, .npy [n, d], row i of image i.
Images are named as for `bctlib embed`; without --images, by the file INDEX.paths.txt that it wrote beside the vectors.
An index that is narrower than the model is compared with the first elements of the model's embeddings (Sec. 3.6).
Yes if every sampled vector has a cosine of --least or more with its image's new embedding.

Exit status: 0 the model makes these vectors, 1 it does not (one sentence on stdout says why) or an input was refused
(one sentence on stderr), 2 the command was not understood.
"""
EXAMPLES = """\
examples:
  bctlib check-index --index old.npy --model old.safetensors
  bctlib check-index --index gallery.npy --images gallery.txt --model old.pth --backbone resnet18 --classifier fc
"""


@dataclass(frozen=True)
class IndexCheck:
    """What became of the sample.

    n_vectors: of the index. cosines: float32 [s], of stored and new embedding, by falling cosine. least: the lowest
    that counts as the same. widths: dimensions of index and model. elsewhere: sampled images whose new embedding is
    the stored vector of another image.
    """

    n_vectors: int
    cosines: np.ndarray
    least: float
    widths: tuple[int, int]
    elsewhere: int

    @property
    def n_same(self) -> int:
        """Sampled vectors that the model has made."""
        return int(np.count_nonzero(self.cosines >= self.least))

    @property
    def made_by_model(self) -> bool:
        """Whether the model makes every sampled vector."""
        return self.n_same == len(self.cosines) > 0

    def sentence(self) -> str:
        """The answer in one sentence."""
        d_index, d_model = self.widths
        if d_index > d_model:
            return f"No: the vectors have {d_index} dimensions and the model makes {d_model}."
        n, same = len(self.cosines), self.n_same
        compared = f"{n:,} of {self.n_vectors:,} vectors were compared"
        if d_index < d_model:
            compared += f" with the first {d_index} of the model's {d_model} dimensions"
        if same == n:
            return f"Yes: the model makes these vectors ({compared}, lowest cosine {self.cosines[-1]:.4f})."
        if self.elsewhere == n - same:
            return (
                f"No: the model makes these vectors, but of other images; rows and images are in different orders "
                f"({compared}, {same:,} belong to their image)."
            )
        if same:
            return (
                f"No: the model makes only a part of these vectors, {same:,} of the {n:,} that were compared; another "
                f"model made the rest (cosines from {self.cosines[-1]:.4f}), or their images have changed."
            )
        return (
            f"No: the model does not make these vectors ({compared}, cosines from {self.cosines[-1]:.4f} to "
            f"{self.cosines[0]:.4f}, expected {self.least:g} or more)."
        )


def check_index(
    index: FeatureSource,
    model: Path | str,
    images: Path | str | None = None,
    *,
    sample: int = SAMPLE,
    least: float = LEAST,
    seed: int = 0,
    backbone: str | None = None,
    classifier: str | None = None,
    image_size: tuple[int, int] | None = None,
    mean: Iterable[float] | None = None,
    std: Iterable[float] | None = None,
    for_old_gallery: bool = False,
    device: str = "auto",
    batch: int = 256,
    workers: int | None = None,
) -> IndexCheck:
    """Embed `sample` images that are drawn with `seed` and compare them with their stored vectors.

    index: the vectors, [n, d], an array or a .npy file. images: what row i is of, as for
    `bctlib.upgrade.images.images_to_embed`; None: INDEX.paths.txt beside the file. least: the lowest cosine of a vector
    that the model has made. The other arguments are as for `bctlib.upgrade.embed.embed_to_files`. Raises BctError
    naming the file, and row or line, of what cannot be used or does not fit.
    """
    check_amounts(batch, workers)
    if sample < 1 or seed < 0 or not 0 < least <= 1:
        raise UsageError(
            f"--sample is {sample}, --seed {seed} and --least {least:g}: expected 1 or more, 0 or more, and a cosine "
            "above 0 up to 1"
        )
    given = {"classifier": classifier, "image_size": image_size, "mean": mean, "std": std}
    given = {name: value for name, value in given.items() if value is not None}
    stored = open_features("index", index)
    found = images_to_embed(_paths_beside(stored) if images is None else images)
    n, d = stored.array.shape
    if len(found) != n:
        raise BctError(f"{stored.label} has {n:,} rows: expected {len(found):,}, one for each image")
    on = choose_device(device)
    embedder, _, size = open_embedder(Path(model), backbone, given, for_old_gallery, on)
    if d > embedder.dim:
        return IndexCheck(n, np.empty(0, np.float32), least, (d, embedder.dim), 0)
    rows = np.sort(np.random.default_rng(seed).permutation(n)[:sample])
    pool = ImageFilePool(found.root, found.paths.take(rows), WholeImage(size))
    anew = Features("embeddings", embed_files(embedder, pool, on, batch, workers)[:, :d])
    with faults_named(stored, anew):
        new = unit_rows(anew.array, "embeddings")
        cosines = np.einsum("ij,ij->i", new, unit_rows(stored.array, stored.label, rows))
        strangers = new[cosines < least]
        elsewhere = np.count_nonzero(_highest(strangers, stored) >= least)
    return IndexCheck(n, np.sort(cosines)[::-1], least, (d, embedder.dim), int(elsewhere))


def _highest(unit: np.ndarray, stored: Features) -> np.ndarray:
    """The highest cosine of each unit row [s, d] with any stored vector, float32 [s]."""
    highest = np.full(len(unit), -np.inf, np.float32)
    if len(unit):
        for block in row_blocks(len(stored.array), max(unit.shape)):
            highest = np.maximum(highest, (unit @ unit_rows(stored.array, stored.label, block).T).max(axis=1))
    return highest


def _paths_beside(stored: Features) -> Path:
    beside = stored.path and stored.path.with_suffix(".paths.txt")
    if beside is None or not beside.is_file():
        at = beside or "beside an array"
        raise UsageError(f"--images is missing, and there is no list {at}: expected the images that the rows are of")
    return beside


def main(argv: list[str] | None = None) -> int:
    """Run the command line and return the exit status: 1 also where the answer is no."""
    made = True

    def work() -> None:
        nonlocal made
        found = check_index(**vars(_parser().parse_args(argv)))
        made = found.made_by_model
        print(found.sentence())

    return run_command("bctlib check-index", work) or int(not made)


def _parser() -> argparse.ArgumentParser:
    parser = Parser(prog="bctlib check-index", description=DESCRIPTION, epilog=EXAMPLES)
    parser.add_argument("--index", type=Path, required=True, metavar="NPY", help="the stored vectors, [n, d]")
    parser.add_argument("--images", type=Path, metavar="DIR|LIST", help="of the rows; default: INDEX.paths.txt")
    parser.add_argument("--sample", type=int, default=SAMPLE, metavar="N", help="images to embed (%(default)s)")
    parser.add_argument("--least", type=float, default=LEAST, metavar="X", help="lowest cosine (%(default)s)")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="of the sample (0)")
    add_model_options(parser)
    return parser


if __name__ == "__main__":
    sys.exit(main())
