"""Train a new model on your own images, compatible with your old one: the command `bctlib train`.

from bctlib.upgrade.train import old_from_weights, train_new_model
old = old_from_weights("old.pth", backbone="resnet18", classes="classes.txt")
model = train_new_model("photos", "new.safetensors", old=old, method="bct-sys", backbone="resnet50")
"""

import argparse
import sys
from pathlib import Path

from bctlib.base.command import EXIT_STATUS, Parser, run_command
from bctlib.base.errors import UsageError
from bctlib.losses import HEADS
from bctlib.methods import METHODS
from bctlib.training.artefact import is_artefact
from bctlib.upgrade.evaluate.inputs import FeatureSource, faults_named, open_features
from bctlib.upgrade.train.new_model import train_new_model
from bctlib.upgrade.train.old_models import Old, old_from_artefact, old_from_weights
from bctlib.upgrade.train.old_models import synthesised_old as _synthesised_old
from bctlib.upgrade.train.weights_network import IMAGENET_MEAN, IMAGENET_STD

__all__ = ["old_from_artefact", "old_from_features", "old_from_weights", "train_new_model"]

DESCRIPTION = f"""\
Trains a model on DIR/CLASS/image files and writes NEW.safetensors, made compatible with OLD, which is one of
  a model file that this command has written (.safetensors);
  a PyTorch state dict (.pth, .pt, .safetensors) with its classifier: --old-backbone, --old-classes, --old-classifier;
  an array of features alone (.npy) with their classes: --old-labels; the old network is not needed (bct).
Class names tie old and new classes. What was interrupted goes on when the same command is given again.
{EXIT_STATUS}"""
EXAMPLES = """\
examples:
  bctlib train --data photos --method independent --out v1.safetensors
  bctlib train --data photos --old v1.safetensors --backbone resnet50 --out v2.safetensors
  bctlib train --data photos --old old.pth --old-backbone resnet18 --old-classes classes.txt \\
      --old-classifier fc.weight --method bct-sys --backbone my_package.my_net:build --out v2.safetensors
  bctlib train --data photos --old old.npy --old-labels labels.txt --method bct --out v2.safetensors
"""
# Which options of the old model each of its forms takes.
_ARTEFACT = {"backbone"}
_FEATURES = {"labels", "scale", "margin"}
_WEIGHTS = {"backbone", "classes", "classifier", "scale", "margin", "image_size", "mean", "std"}


def old_from_features(
    features: FeatureSource, labels: Path | str, scale: float = 32.0, margin: float | None = 0.4
) -> Old:
    """An old model of which only features are left: an array [n,d] or a .npy file, and a text file of their classes.

    The influence loss then goes through a synthesised cosine classifier (Sec. 2.5). Raises BctError naming the file.
    """
    opened = open_features("old features", features)
    with faults_named(opened):
        return _synthesised_old(opened.array, labels, scale, margin, opened.label)


def main(argv: list[str] | None = None) -> int:
    """Do what the command line asks and give the exit status; errors are one sentence on stderr."""
    return run_command("bctlib train", lambda: _train(_parser().parse_args(argv)))


def _train(options: argparse.Namespace) -> None:
    given = {name: value for name, value in vars(options).items() if not name.startswith("old")}
    train_new_model(given.pop("data"), given.pop("out"), old=_old(options), **given)


def _old(options: argparse.Namespace) -> Old | None:
    given = {
        name.removeprefix("old_"): value
        for name, value in vars(options).items()
        if name.startswith("old_") and value is not None
    }
    path = options.old
    if path is None:
        _only(given, set(), "without --old there is no old model")
        return None
    if not path.is_file():
        raise UsageError(f"--old {path}: {'is a folder, expected a file' if path.is_dir() else 'no such file'}")
    if path.suffix == ".npy":
        _only(given, _FEATURES, f"{path} is an array of features")
        if "labels" not in given:
            raise UsageError(f"--old {path} is an array of features: expected --old-labels, the class of each row")
        return old_from_features(path, **given)
    if is_artefact(path):
        _only(given, _ARTEFACT, f"{path} is a model file of bctlib")
        return old_from_artefact(path, given.get("backbone", options.backbone))
    _only(given, _WEIGHTS, f"{path} is not an array of features")
    if missing := [name for name in ("backbone", "classes") if name not in given]:
        wanted = " and ".join(f"--old-{name}" for name in missing)
        raise UsageError(f"--old {path} is not a model file of bctlib: expected {wanted} too")
    return old_from_weights(path, **given)


def _only(given: dict, allowed: set[str], why: str) -> None:
    if wrong := sorted(set(given) - allowed):
        raise UsageError(f"{why}: --old-{wrong[0].replace('_', '-')} does not apply")


def _parser() -> argparse.ArgumentParser:
    parser = Parser(prog="bctlib train", description=DESCRIPTION, epilog=EXAMPLES)
    parser.add_argument("--data", type=Path, required=True, metavar="DIR", help="images by class, DIR/CLASS/*.jpg|png")
    parser.add_argument("--out", type=Path, required=True, metavar="NEW.safetensors", help="the model file to write")
    parser.add_argument("--method", choices=list(METHODS), default="bct-sys", help="default: %(default)s")
    parser.add_argument(
        "--backbone", default="resnet18", metavar="NAME",
        help="classifier of torchvision, or package.module:factory of a torch.nn.Module (called with dim= if it takes "
        "it, else its features [N,F] or [N,F,H,W] get a linear layer); default: %(default)s",
    )  # fmt: skip
    parser.add_argument("--dim", type=int, help="of the embedding; default: the old model's, else 128")
    parser.add_argument("--head", choices=list(HEADS), default="cosine-margin", help="default: %(default)s")
    parser.add_argument("--scale", type=float, help="of the new cosine head; default: 32")
    parser.add_argument("--margin", type=float, help="of the new cosine-margin head; default: 0.4")
    parser.add_argument("--lam", type=float, default=1.0, help="weight of the influence loss; default: %(default)s")
    parser.add_argument("--epochs", type=int, default=30, help="default: %(default)s")
    parser.add_argument("--batch", type=int, default=128, help="default: %(default)s")
    parser.add_argument("--rate", type=float, default=0.1, help="highest learning rate; default: %(default)s")
    parser.add_argument("--image-size", type=image_size, metavar="S|HxW", help="default: the old model's, else 112")
    parser.add_argument("--mirror", type=float, default=0.0, metavar="P", help="probability of a left-right flip")
    parser.add_argument("--class-map", type=Path, metavar="FILE", help="`old new` names of renamed classes, by line")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda or cuda:1")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--workers", type=int, help="processes that read images; default: one for each core")
    old = parser.add_argument_group("the old model")
    old.add_argument("--old", type=Path, metavar="OLD", help="model file, state dict or .npy of features")
    old.add_argument("--old-backbone", metavar="NAME", help="whose weights they are; as --backbone")
    old.add_argument("--old-classes", type=Path, metavar="FILE", help="name of each row of its classifier, by line")
    old.add_argument("--old-classifier", metavar="KEY|FILE", help="its weight [classes, d]: key or file of its own")
    old.add_argument("--old-labels", type=Path, metavar="FILE", help="class or image path of each row of the features")
    old.add_argument("--old-scale", type=float, help="of its cosine classifier; without it a softmax with bias")
    old.add_argument("--old-margin", type=float, help="of its cosine classifier, if it was trained with one")
    add_input_options(parser, "--old-")
    return parser


def add_input_options(parser: argparse.ArgumentParser, prefix: str) -> None:
    """What the images must look like that plain weights were trained on."""
    parser.add_argument(f"{prefix}image-size", type=image_size, metavar="S|HxW", help="that plain weights are made for")
    for name, values in (("mean", IMAGENET_MEAN), ("std", IMAGENET_STD)):
        parser.add_argument(
            f"{prefix}{name}", type=float, nargs=3, metavar=("R", "G", "B"),
            help=f"by which their pixels (0 to 1) were normalised; default: ImageNet's {' '.join(map(str, values))}",
        )  # fmt: skip


def image_size(text: str) -> tuple[int, int]:
    """(height, width) from `112` or `256x128`."""
    words = text.split("x")
    if len(words) > 2 or not all(word.isdecimal() and int(word) > 0 for word in words):
        raise argparse.ArgumentTypeError(f"{text!r} is no image size: expected 112 or HEIGHTxWIDTH")
    return int(words[0]), int(words[-1])


if __name__ == "__main__":
    sys.exit(main())
