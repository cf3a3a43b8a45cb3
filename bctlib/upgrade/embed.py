"""Embed the images of a folder or list with a model: the command `bctlib embed`.

    from bctlib.upgrade.embed import embed_to_files
    embed_to_files("new.safetensors", "photos", "new.npy")

Writes the features (`bctlib.upgrade.feature_file`) and, beside them, the paths and labels of the rows.
"""

import argparse
import os
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import torch

from bctlib.base import progress
from bctlib.base.command import EXIT_STATUS, Parser, run_command
from bctlib.base.errors import BctError, UsageError
from bctlib.base.files import digest_of, replace_atomically
from bctlib.base.network_code import code_of
from bctlib.data.photos.class_names import check_line
from bctlib.data.photos.framing import FACE, WholeImage
from bctlib.data.photos.sets import ImageFilePool
from bctlib.training.artefact import Artefact, is_artefact, load_artefact
from bctlib.training.devices import choose_device
from bctlib.training.features import Embedder
from bctlib.upgrade.feature_file import write_features
from bctlib.upgrade.images import images_to_embed
from bctlib.upgrade.train.command import add_input_options
from bctlib.upgrade.train.new_model import require_writable
from bctlib.upgrade.train.weights_network import network_of_weights

DESCRIPTION = f"""\
Writes OUT.npy, float32 [images, d], and beside it OUT.paths.txt and, where classes are known, OUT.labels.txt, the
path (relative to OUT's folder) and the class of each row. `bctlib report` and `bctlib evaluate` read these files.
Images are DIR/CLASS/**/image (sorted by class, then path), DIR/image (sorted by name), or the lines of a text file,
`path` or `path label`. Files are recognised as images by their content, not their name; links to folders are followed;
files that are left out are counted and named. For plain weights (--backbone), --classifier says which layer is removed
as their classifier, or that there is none; the log names it. An interrupted run resumes when the same command is given
again, for the same images (by content), model and code.
{EXIT_STATUS}"""
EXAMPLES = """\
examples:
  bctlib embed --model new.safetensors --images photos --out new.npy
  bctlib embed --model old.pth --backbone resnet18 --classifier fc --images gallery.txt --out old.npy
  bctlib embed --model loop.pth --backbone resnet18 --classifier none --images photos --out new.npy
"""


@dataclass(frozen=True)
class _Mapped:
    """A model of method bct-map whose map is applied, so that its embeddings lie in the old model's space."""

    model: Artefact

    @property
    def dim(self) -> int:
        return self.model.transform.out_features

    def embed(self, images: torch.Tensor) -> torch.Tensor:
        return self.model.transform(self.model.embed(images))


def embed_to_files(
    model: Path | str,
    images: Path | str,
    out: Path | str,
    *,
    backbone: str | None = None,
    classifier: str | None = None,
    image_size: tuple[int, int] | None = None,
    mean: Iterable[float] | None = None,
    std: Iterable[float] | None = None,
    for_old_gallery: bool = False,
    device: str = "auto",
    batch: int = 256,
    workers: int | None = None,
) -> list[Path]:
    """Write OUT, the paths of its rows and, if known, their labels. Returns the files written.

    model: a model file of bctlib, or plain weights with `backbone` and the other options of `network_of_weights`.
    backbone: also needed for a model file whose network is neither bctlib's nor torchvision's. images: as
    `bctlib.upgrade.images.images_to_embed`. for_old_gallery: apply the map of a model of method bct-map. Raises
    BctError naming the file, and leaves no half-written OUT.
    """
    out = Path(out)
    require_writable(out, ".npy")
    check_amounts(batch, workers)
    given = {"classifier": classifier, "image_size": image_size, "mean": mean, "std": std}
    given = {name: value for name, value in given.items() if value is not None}
    on = choose_device(device)
    embedder, key, size = open_embedder(Path(model), backbone, given, for_old_gallery, on)
    found = images_to_embed(images)
    pool, written = ImageFilePool(found.root, found.paths, WholeImage(size)), [out]
    folder = out.resolve().parent
    if not found.labels and out.with_suffix(".labels.txt").exists():  # of other images, or written by hand
        raise BctError(
            f"{out.with_suffix('.labels.txt')} is there, and these images have no labels: expected another --out, or "
            "remove it"
        )
    paths = [os.path.relpath(found.root / path, folder) for path in found.paths]
    for path in paths:
        check_line(path, "the path")

    def write_names() -> None:
        """Written before OUT appears: a full disk must not leave OUT beside the paths of other rows."""
        written.append(_write_lines(out.with_suffix(".paths.txt"), paths))
        if found.labels:
            written.append(_write_lines(out.with_suffix(".labels.txt"), found.labels))

    write_features(out, embedder, key, pool, on, batch, workers, write_names)
    names = ", ".join(path.name for path in written)
    also = f"; {found.left_out}" if found.left_out else ""
    progress.say(f"{len(found):,} images x {embedder.dim}: {names} in {out.parent}{also}")
    return written


def check_amounts(batch: int, workers: int | None) -> None:
    """Raises UsageError for a batch or a number of processes that cannot be."""
    if batch < 1 or (workers is not None and workers < 0):
        raise UsageError(f"--batch is {batch} and --workers {workers}: expected 1 or more and 0 or more")


def open_embedder(
    path: Path, backbone: str | None, given: dict, for_old_gallery: bool, device: torch.device
) -> tuple[Embedder, str, tuple[int, int]]:
    """The model on `device`, the key of its features, and the (height, width) of its input images.

    given: those options of plain weights that were given: classifier, image_size, mean, std. The others are as for
    `embed_to_files`. Raises BctError naming the file or option that does not fit.
    """
    if is_artefact(path):
        if given:
            option = next(iter(given)).replace("_", "-")
            raise UsageError(f"--{option} does not apply to a bctlib model file ({path})")
        model = load_artefact(path, backbone).to(device)
        size = model.image_size or FACE
        # Two runs of one recipe may differ in the last digits, and the file does not hold the code of its network.
        key = f"{model.recipe.key} {digest_of(path)} {code_of(model.recipe.backbone)}"
        if not for_old_gallery:
            return model, key, size
        if model.transform is None:
            raise UsageError(f"{path} has no map into the old space (only bct-map has): leave out --for-old-gallery")
        return _Mapped(model), f"{key} mapped", size
    if not path.exists():
        raise UsageError(f"cannot read {path}: No such file or directory")
    if backbone is None:
        raise UsageError(f"{path} is not a model file of bctlib: expected --backbone, the network with these weights")
    if for_old_gallery:
        raise UsageError(f"--for-old-gallery applies only to a bctlib model file, which {path} is not")
    size = given.get("image_size") or FACE
    if "image_size" not in given:
        progress.say(f"{path}: no --image-size was given, images are resized to {size[0]} x {size[1]}")
    plain = network_of_weights(path, backbone, given.pop("classifier", None), **given).to(device)
    return plain, plain.key, size


def _write_lines(path: Path, lines: Iterable[str]) -> Path:
    text = "".join(f"{line}\n" for line in lines)
    replace_atomically(path, lambda temporary: temporary.write_text(text, encoding="utf-8"))
    return path


def main(argv: list[str] | None = None) -> int:
    """Run the command line and return the exit status. Errors are one sentence on stderr."""
    return run_command("bctlib embed", lambda: embed_to_files(**vars(_parser().parse_args(argv))))


def _parser() -> argparse.ArgumentParser:
    parser = Parser(prog="bctlib embed", description=DESCRIPTION, epilog=EXAMPLES)
    parser.add_argument("--images", type=Path, required=True, metavar="DIR|LIST")
    parser.add_argument("--out", type=Path, required=True, metavar="NPY")
    add_model_options(parser)
    return parser


def add_model_options(parser: argparse.ArgumentParser) -> None:
    """The model that embeds, and where and how it is run."""
    parser.add_argument("--model", type=Path, required=True, help="model file of bctlib, or plain PyTorch weights")
    parser.add_argument("--backbone", metavar="NAME", help="of plain weights, or your own package.module:factory")
    parser.add_argument(
        "--classifier", metavar="KEY|FILE|none",
        help="of plain weights: the layer that is taken off, by the key of its weight or a file of it; none: the "
        "network emits the embedding",
    )  # fmt: skip
    add_input_options(parser, "--")
    parser.add_argument("--for-old-gallery", action="store_true", help="through the map of a bct-map model")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda or cuda:1")
    parser.add_argument("--batch", type=int, default=256, help="default: %(default)s")
    parser.add_argument("--workers", type=int, help="processes that read images; default: one for each core")


if __name__ == "__main__":
    sys.exit(main())
