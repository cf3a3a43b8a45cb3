"""The whole way of an engineer, timed: a folder of images and an old ResNet-18 -> train -> embed -> report -> upgrade.

    python tests/upgrade/train/upgrade_walk.py [DIR]

Images, the old network and its training are somebody else's: drawn here, plain PyTorch, nothing of this project.
Every command is one of docs/training.md and docs/report.md, in a process of its own.
"""

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch
import torchvision
from custom_images import CLASSES, COLOURS, draw, tensors, train_plainly
from PIL import ImageDraw

from bctlib.upgrade.serve.live_index import LiveIndex

NAMES = [f"{name} under {bar}" for bar in COLOURS for name in CLASSES]  # 64 classes
ORDER = np.random.default_rng(0).permutation(len(NAMES))
OLD = [NAMES[i] for i in ORDER[:24]]
NEW = [NAMES[i] for i in ORDER[4:48]]  # 4 classes vanished, 24 are new to the old model
NORMALISED = ["--mean", *["0.5"] * 3, "--std", *["0.5"] * 3]
BACKFILL = (0.25, 0.5, 0.75, 1.0)


class Walk:
    """A folder of work, and seconds of each step so far."""

    def __init__(self, root: Path):
        self.root, self.seconds = root, {}

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        began = time.perf_counter()
        yield
        self.seconds[name] = time.perf_counter() - began
        print(f"{self.seconds[name]:7.1f} s  {name}", flush=True)

    def command(self, name: str, *words: object) -> str:
        """What `bctlib NAME WORDS` prints, run in the folder. Raises if it fails."""
        done = subprocess.run(
            [sys.executable, "-m", "bctlib", name, *map(str, words)], cwd=self.root, capture_output=True, text=True
        )
        if done.returncode:
            raise SystemExit(f"bctlib {name} {' '.join(map(str, words))}\n{done.stdout}{done.stderr}")
        return done.stdout + done.stderr


def write_barred(root: Path, names: list[str], per_class: int, first_seed: int) -> None:
    """ROOT/CLASS/000.jpg and so on: a coloured shape under a coloured bar."""
    for name in names:
        shape, bar = name.split(" under ")
        (root / name).mkdir(parents=True)
        for i in range(per_class):
            image = draw(shape, first_seed + i)
            ImageDraw.Draw(image).rectangle((0, 0, 31, 4), COLOURS[bar])
            image.save(root / name / f"{i:03d}.jpg", quality=90)


def images_and_old_model(walk: Walk) -> None:
    """What the engineer already has: photos/, gallery/, probes/, old.pth and classes.txt."""
    root = walk.root
    with walk.step("images drawn: 44 classes to train on, 64 to search"):
        write_barred(root / "old_images", OLD, 60, 0)
        write_barred(root / "photos", NEW, 40, 1000)
        write_barred(root / "gallery", NAMES, 6, 2000)
        write_barred(root / "probes", NAMES, 6, 3000)
    with walk.step("old ResNet-18 by plain PyTorch, 24 classes"):
        images, labels, names = tensors(root / "old_images")
        torch.manual_seed(0)
        net = torchvision.models.resnet18(num_classes=len(names))
        train_plainly(net, images, labels, epochs=12)
        torch.save({"state_dict": net.state_dict()}, root / "old.pth")
        (root / "classes.txt").write_text("\n".join(names) + "\n")


def upgraded(walk: Walk) -> tuple[str, dict]:
    """Train, embed and judge by the commands of docs/; the log of training and the report."""
    plain = ["--model", "old.pth", "--backbone", "resnet18", "--classifier", "fc", "--image-size", 32, *NORMALISED]
    with walk.step("bctlib embed: the training images by the old model"):
        walk.command("embed", *plain, "--images", "photos", "--out", "old_photos.npy")
    with walk.step("bctlib train: ResNet-18, bct-sys, against those features"):
        log = walk.command(
            "train", "--data", "photos", "--old", "old_photos.npy", "--old-labels", "old_photos.labels.txt",
            "--image-size", 32, "--epochs", 15, "--batch", 64, "--rate", 0.05, "--scale", 16, "--margin", 0.2,
            "--out", "new.safetensors",
        )  # fmt: skip
    with walk.step("bctlib embed: gallery and probes, by both models"):
        for part in ("gallery", "probes"):
            walk.command("embed", *plain, "--images", part, "--out", f"old_{part}.npy")
            walk.command("embed", "--model", "new.safetensors", "--images", part, "--out", f"new_{part}.npy")
    with walk.step("bctlib report"):
        walk.command(
            "report", "--query-features", "new_probes.npy", "--gallery-features", "old_gallery.npy",
            "--old-query-features", "old_probes.npy", "--new-gallery-features", "new_gallery.npy",
            "--query-labels", "new_probes.labels.txt", "--gallery-labels", "new_gallery.labels.txt",
            "--query-images", "new_probes.paths.txt", "--gallery-images", "new_gallery.paths.txt", "--out", "judged",
        )  # fmt: skip
    return log, json.loads((walk.root / "judged" / "report.json").read_text())


def live_upgrade(walk: Walk) -> dict[str, float]:
    """A running index from day 0 to the end of the backfill; rank-1 accuracy at each of its steps."""
    features = {(m, p): np.load(walk.root / f"{m}_{p}.npy") for m in ("old", "new") for p in ("gallery", "probes")}
    classes, wanted = (_labels(walk.root / f"new_{part}.labels.txt") for part in ("gallery", "probes"))
    late = classes >= 48  # these are added after the new model came
    items, accuracy = np.arange(len(classes)), {}

    def measure(step: str, model: str) -> None:
        held = np.isin(wanted, index.classes)
        hits = index.search(features[model, "probes"][held], model)
        accuracy[step] = float((hits.classes[:, 0] == wanted[held]).mean())

    with walk.step("live upgrade in a FAISS index, eight steps"):
        index = LiveIndex(features["old", "gallery"].shape[1], kind="flat")
        index.add(items[~late], classes[~late], features["old", "gallery"][~late], "old")
        measure("day 0: old queries, old gallery", "old")
        index.declare("new", "old")
        measure("new queries, old gallery", "new")
        index.add(items[late], classes[late], features["new", "gallery"][late], "new")
        measure("new classes added", "new")
        todo = items[~late]
        for begin, end in zip((0.0, *BACKFILL), BACKFILL, strict=False):
            batch = todo[round(begin * len(todo)) : round(end * len(todo))]
            index.replace(batch, features["new", "gallery"][batch], "new")
            measure(f"{end:.0%} backfilled", "new")
        index.save(walk.root / "gallery.index")
        index = LiveIndex.load(walk.root / "gallery.index")
        measure("loaded again", "new")
    return accuracy


def _labels(path: Path) -> np.ndarray:
    """Class numbers of the names in the file, in the order of NAMES."""
    return np.array([NAMES.index(name) for name in path.read_text().splitlines()])


def walk_all(root: Path) -> tuple[Walk, str, dict, dict[str, float]]:
    """Everything, one after the other."""
    walk = Walk(root)
    images_and_old_model(walk)
    log, judged = upgraded(walk)
    return walk, log, judged, live_upgrade(walk)


if __name__ == "__main__":
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else tempfile.mkdtemp())
    folder.mkdir(parents=True, exist_ok=True)
    walked, training_log, report, steps = walk_all(folder)
    print(f"{sum(walked.seconds.values()):7.1f} s  all of it\n\n{training_log}")
    print("\n".join(f"{value:6.1%}  {step}" for step, value in steps.items()))
    print(f"\n{report['answer']['headline']}", *report["answer"]["reasons"], sep="\n")
