"""The embedding of each image of a folder or list: `bctlib embed --help`.

from bctlib.upgrade.embed import embed_to_files
embed_to_files("new.safetensors", "photos", "new.npy")

Embeddings of image files written to one .npy file, block by block: what was interrupted goes on where it was.
"""

import argparse
import contextlib
import errno
import io
import json
import os
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
import torch

from bctlib.base import progress
from bctlib.base.command import EXIT_STATUS, Parser, run_command
from bctlib.base.errors import BctError, UsageError
from bctlib.base.files import digest_of, replace_atomically
from bctlib.base.network_code import code_of
from bctlib.base.share import Share
from bctlib.data.photos.class_names import check_line
from bctlib.data.photos.distortion import normalise_colour
from bctlib.data.photos.framing import FACE, WholeImage
from bctlib.data.photos.reading import ImageList, default_workers, read_batches
from bctlib.data.photos.sets import ImageFilePool
from bctlib.training.artefact import Artefact, is_artefact, load_artefact
from bctlib.training.devices import choose_device
from bctlib.training.features import Embedder, embedded_batches
from bctlib.upgrade.images import images_to_embed
from bctlib.upgrade.train.command import add_input_options
from bctlib.upgrade.train.new_model import require_writable
from bctlib.upgrade.train.weights_network import network_of_weights

_SAVE_S = 5.0
_SAMPLE = 32


def write_features(
    path: Path,
    model: Embedder,
    key: str,
    pool: ImageFilePool,
    device: torch.device,
    batch: int = 256,
    workers: int | None = None,
    last: Callable[[], object] = lambda: None,
) -> None:
    """Write float32 [pool.size, d] to `path`, which appears when it is complete; norms are kept.

    key: of the model. last: called when all rows are there, just before `path` appears. Until then `NAME.partial`
    holds the rows that are done, in the space that all of them need, and `NAME.partial.json` how many they are, of
    which model and images; with others one begins anew. Raises BctError when it cannot be written, naming an image that
    cannot be read, and naming a row that is not finite.
    """
    partial, note = path.with_name(path.name + ".partial"), path.with_name(path.name + ".partial.json")
    about = {"model": key, "images": pool.key, "shape": [pool.size, model.dim]}
    progress.say(f"features of {pool.root.name}: {pool.size:,} images, about {_estimate(model, pool, device, workers)}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        done = _done(partial, note, about)
    except OSError as error:
        raise BctError(f"cannot write into {path.parent}: {error.strerror or error}") from error
    if done == pool.size:
        progress.say(f"features of {pool.root.name}: all rows are there already")
    elif done:
        progress.say(f"features of {pool.root.name}: resuming at image {done + 1:,} of {pool.size:,}")
    elif note.exists():
        progress.say(f"features of {pool.root.name}: {partial.name} is of other images or another model; begun anew")
    with _Rows(partial, pool.size, model.dim, done) as rows:
        saved = time.perf_counter()
        for found in embedded_batches(model, pool, device, batch, workers, Share(pool.size, done, pool.size)):
            if not np.isfinite(found).all():
                bad = done + int(np.flatnonzero(~np.isfinite(found).all(axis=1))[0])
                raise BctError(f"the embedding of {pool.root / pool.paths[bad]} is not finite: the model is of no use")
            rows.append(found)
            done += len(found)
            if time.perf_counter() - saved > _SAVE_S:
                rows.flush()
                _write_note(note, about, done)
                saved = time.perf_counter()
        rows.flush()
    _write_note(note, about, done)
    last()
    try:
        partial.replace(path)
        note.unlink(missing_ok=True)
    except OSError as error:
        raise BctError(f"cannot write {path}: {error.strerror or error}") from error


class _Rows:
    """A .npy file of n rows of float32, written row by row; its space is reserved before the first, where that can be.

    Not a memory map: on a full disk that would end the process without a word. done: rows that it holds already.
    Raises BctError naming the file when it cannot be written.
    """

    def __init__(self, path: Path, n: int, dim: int, done: int):
        self.path = path
        header = io.BytesIO()
        form = {"descr": np.lib.format.dtype_to_descr(np.dtype(np.float32)), "fortran_order": False, "shape": (n, dim)}
        np.lib.format.write_array_header_1_0(header, form)
        begins, row = header.getvalue(), 4 * dim
        self.file: BinaryIO | None = None
        with self._said(f" ({n:,} rows take {(len(begins) + n * row) / 1e6:,.1f} MB)"):
            self.file = path.open("r+b" if done else "wb")
            _reserve(self.file, len(begins) + n * row)
            if not done:
                self.file.write(begins)
            self.file.seek(len(begins) + done * row)

    def append(self, rows: np.ndarray) -> None:
        """float32 [m, dim]."""
        with self._said():
            self.file.write(np.ascontiguousarray(rows, np.float32).data)

    def flush(self) -> None:
        with self._said():
            self.file.flush()

    def __enter__(self) -> "_Rows":
        return self

    def __exit__(self, *exception: object) -> None:
        with contextlib.suppress(OSError):  # what could not be written was said by `flush`
            self.file.close()

    @contextlib.contextmanager
    def _said(self, more: str = "") -> Iterator[None]:
        try:
            yield
        except OSError as error:
            if self.file is not None:
                with contextlib.suppress(OSError):
                    self.file.close()
            raise BctError(f"cannot write {self.path}: {error.strerror or error}{more}") from error


def _reserve(file: BinaryIO, size: int) -> None:
    """Give the file its whole length, and the disk space for it. Raises OSError where the disk has not that much."""
    if hasattr(os, "posix_fallocate"):
        try:
            os.posix_fallocate(file.fileno(), 0, size)
            return
        except OSError as error:
            if error.errno not in (errno.EOPNOTSUPP, errno.EINVAL, errno.ENOSYS):  # a file system that cannot
                raise
    file.truncate(size)


def _write_note(note: Path, about: dict, done: int) -> None:
    replace_atomically(note, lambda temporary: temporary.write_text(json.dumps({**about, "done": done})))


def _done(partial: Path, note: Path, about: dict) -> int:
    """Rows of the partial file that are of this model and these images, 0 if it is of others or damaged."""
    try:
        kept = json.loads(note.read_text())
        found = np.load(partial, mmap_mode="r", allow_pickle=False)
        if {**about, "done": kept["done"]} == kept and list(found.shape) == about["shape"]:
            return int(kept["done"])
    except (OSError, ValueError, KeyError, TypeError):
        pass
    return 0


def _estimate(model: Embedder, pool: ImageFilePool, device: torch.device, workers: int | None) -> str:
    """The time that reading and embedding should take, from a few images."""
    n = min(pool.size, _SAMPLE)
    began = time.perf_counter()
    (images,) = read_batches(ImageList(pool.root, pool.paths, pool.framing), np.arange(n), n, 0, device)
    reading = (time.perf_counter() - began) / max(1, default_workers() if workers is None else workers)
    began = time.perf_counter()
    model.embed(normalise_colour(images)).cpu()
    return progress.clock(pool.size * max(reading, time.perf_counter() - began) / n)


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

    model: a model file of bctlib, or plain weights with `backbone` and the other options of `network_of_weights`.
    backbone: also needed for a model file whose network is neither bctlib's nor torchvision's. images: as
    `bctlib.upgrade.images.images_to_embed`. for_old_gallery: through the map of a model of method bct-map. Raises
    BctError, naming the file, and leaves no half-written OUT.
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
    if not found.labels and out.with_suffix(".labels.txt").exists():  # of other images, or written by hand
        raise BctError(
            f"{out.with_suffix('.labels.txt')} is there, and these images have no labels: expected another --out, or "
            "remove it"
        )
    paths = [os.path.relpath(found.root / path, folder) for path in found.paths]
    for path in paths:
        check_line(path, "the path")

    def write_names() -> None:
        """Before OUT appears, so that a disk that is full by then leaves no OUT beside the names of other rows."""
        written.append(_write_lines(out.with_suffix(".paths.txt"), paths))
        if found.labels:
            written.append(_write_lines(out.with_suffix(".labels.txt"), found.labels))

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
