"""The embedding of each image of a folder or list: `bctlib embed --help`.

from bctlib.upgrade.embed import embed_to_files
embed_to_files("new.safetensors", "photos", "new.npy")
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
from bctlib.data.photos.framing import FACE, WholeImage
from bctlib.data.photos.image_file_pool import ImageFilePool
from bctlib.data.photos.class_names import check_line
from bctlib.upgrade.images import images_to_embed
from bctlib.base.errors import UsageError
from bctlib.upgrade.feature_writer import write_features
from bctlib.training.file_features import Embedder
from bctlib.base.files import digest_of, replace_atomically
from bctlib.upgrade.train.command import add_input_options
from bctlib.training.artefact import Artefact, is_artefact, load_artefact
from bctlib.training.devices import choose_device
from bctlib.base.network_code import code_of
from bctlib.upgrade.train.new_model import require_writable
from bctlib.upgrade.train.weights_network import network_of_weights

DESCRIPTION = f"""\
Writes OUT.npy, float32 [images, d], and beside it OUT.paths.txt and, where classes are known, OUT.labels.txt, the
path (from there) and the class of each row: what `bctlib report` and `bctlib evaluate` read.
Images are DIR/CLASS/**/image (in the order of classes, then paths), DIR/image (by name), or lines of a text file,
`path` or `path label`. Content, not the end of a name, makes a file an image; links to folders are followed; what is
left out is counted and named. Of plain weights (--backbone), --classifier says which layer is taken off as their
classifier, or that none is; the log names it. What was interrupted goes on when the same command is given again, for
the same images (by content), model and code.
{EXIT_STATUS}"""
EXAMPLES = """\
examples:
  bctlib embed --model new.safetensors --images photos --out new.npy
  bctlib embed --model old.pth --backbone resnet18 --classifier fc --images gallery.txt --out old.npy
  bctlib embed --model loop.pth --backbone resnet18 --classifier none --images photos --out new.npy
"""


@dataclass(frozen=True)
class _Mapped:
    """A model whose embeddings go through its map into the old model's space (method bct-map)."""

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
    """Write OUT, OUT's paths and, where they are known, labels; give their names.

    model: a model file of bctlib, or plain weights with `backbone` and the other options of
    `bctlib.upgrade.train.weights_network.network_of_weights`. backbone: also needed for a model file whose network is not
    bctlib's nor torchvision's. images: as `bctlib.upgrade.images.images_to_embed`. for_old_gallery: through the map of
    a model of method bct-map. Raises BctError, naming the file, and leaves no half-written OUT.
    """
    out = Path(out)
    require_writable(out, ".npy")
    if batch < 1 or (workers is not None and workers < 0):
        raise UsageError(f"--batch is {batch} and --workers {workers}: expected 1 or more and 0 or more")
    given = {"classifier": classifier, "image_size": image_size, "mean": mean, "std": std}
    given = {name: value for name, value in given.items() if value is not None}
    on = choose_device(device)
    embedder, key, size = _open(Path(model), backbone, given, for_old_gallery, on)
    found = images_to_embed(images)
    pool, written = ImageFilePool(found.root, found.paths, WholeImage(size)), [out]
    folder = out.resolve().parent
    paths = [os.path.relpath(found.root / path, folder) for path in found.paths]
    for path in paths:
        check_line(path, "the path")

    def write_names() -> None:
        """Before OUT appears, so that a disk that is full by then leaves no OUT beside the names of other rows."""
        written.append(_write_lines(out.with_suffix(".paths.txt"), paths))
        if found.labels:
            written.append(_write_lines(out.with_suffix(".labels.txt"), found.labels))
        else:
            out.with_suffix(".labels.txt").unlink(missing_ok=True)  # of other images, from an earlier run

    write_features(out, embedder, key, pool, on, batch, workers, write_names)
    names = ", ".join(path.name for path in written)
    also = f"; {found.left_out}" if found.left_out else ""
    progress.say(f"{len(found):,} images x {embedder.dim}: {names} in {out.parent}{also}")
    return written


def _open(
    path: Path, backbone: str | None, given: dict, for_old_gallery: bool, device: torch.device
) -> tuple[Embedder, str, tuple[int, int]]:
    """The model on `device`, what names it, and the (height, width) of the images it sees."""
    if is_artefact(path):
        if given:
            option = next(iter(given)).replace("_", "-")
            raise UsageError(f"{path} is a model file of bctlib: --{option} has no meaning here")
        model = load_artefact(path, backbone).to(device)
        size = model.image_size or FACE
        # Two trainings of one recipe may differ in their last digits; and the file does not hold its network's code.
        key = f"{model.recipe.key} {digest_of(path)} {code_of(model.recipe.backbone)}"
        if not for_old_gallery:
            return model, key, size
        if model.transform is None:
            raise UsageError(f"{path} has no map into the old space (only bct-map has): leave --for-old-gallery out")
        return _Mapped(model), f"{key} mapped", size
    if not path.exists():
        raise UsageError(f"cannot read {path}: No such file or directory")
    if backbone is None:
        raise UsageError(f"{path} is not a model file of bctlib: expected --backbone, whose weights they are")
    if for_old_gallery:
        raise UsageError(f"{path} is not a model file of bctlib: --for-old-gallery has no meaning here")
    size = given.get("image_size") or FACE
    if "image_size" not in given:
        progress.say(f"{path}: no --image-size was given, its network sees images of {size[0]} x {size[1]}")
    plain = network_of_weights(path, backbone, given.pop("classifier", None), **given).to(device)
    return plain, plain.key, size


def _write_lines(path: Path, lines: Iterable[str]) -> Path:
    text = "".join(f"{line}\n" for line in lines)
    replace_atomically(path, lambda temporary: temporary.write_text(text, encoding="utf-8"))
    return path


def main(argv: list[str] | None = None) -> int:
    """Do what the command line asks and give the exit status; errors are one sentence on stderr."""
    return run_command("bctlib embed", lambda: embed_to_files(**vars(_parser().parse_args(argv))))


def _parser() -> argparse.ArgumentParser:
    parser = Parser(prog="bctlib embed", description=DESCRIPTION, epilog=EXAMPLES)
    parser.add_argument("--model", type=Path, required=True, help="model file of bctlib, or plain PyTorch weights")
    parser.add_argument("--images", type=Path, required=True, metavar="DIR|LIST")
    parser.add_argument("--out", type=Path, required=True, metavar="NPY")
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
    return parser


if __name__ == "__main__":
    sys.exit(main())
