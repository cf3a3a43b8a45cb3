"""How the typefaces of the committed subset were chosen: a rule without a model and without an outcome.

Eligible are candidates that draw at least 97 % of the level-1 kanji. The distance of two typefaces is one minus the
mean, over a fixed sample of kanji (every 25th of level 1), of the correlation of their pictures of the same kanji,
each slightly blurred. The first typeface is the one nearest to all others (least mean distance, the most ordinary
design); each next one is the one farthest from those already taken (its distance to the nearest of them is the
greatest). The order is the column `rank` of `typefaces.csv`; a typeface nearer than 0.05 to one already taken is a
near-duplicate and gets no rank. The committed set has level 1 in the head of that order, and level 2 in the first of
these that draw at least 97 % of level 2 (the same order as among those alone).

`python -m dev.glyphs.choose_typefaces --fonts DIR` prints the order with each distance.
"""

import tempfile
from pathlib import Path

import numpy as np

from bctlib.base.command import Parser, run_command
from dev.glyphs.blocks import blocks_of
from dev.glyphs.fonts import find_font, read_typefaces
from dev.glyphs.rendering import render_typeface

COVERAGE = 0.97
NEAR_DUPLICATE = 0.05
SAMPLE_STEP = 25
_SIZE = 28


def _blur(images: np.ndarray) -> np.ndarray:
    """3 x 3 binomial blur of [n, S, S], zero outside."""
    padded = np.pad(images.astype(np.float32), ((0, 0), (1, 1), (1, 1)))
    rows = padded[:, :-2] + 2 * padded[:, 1:-1] + padded[:, 2:]
    return rows[:, :, :-2] + 2 * rows[:, :, 1:-1] + rows[:, :, 2:]


def distances(pictures: np.ndarray, present: np.ndarray) -> np.ndarray:
    """Distance of typefaces, float32 [n_face, n_face], from sample pictures uint8 [n_face, n, S, S] and their mask."""
    n_face, n = present.shape
    flat = _blur(pictures.reshape(n_face * n, *pictures.shape[2:])).reshape(n_face, n, -1)
    flat -= flat.mean(axis=2, keepdims=True)
    flat /= np.maximum(np.linalg.norm(flat, axis=2, keepdims=True), 1e-9)
    correlation = np.einsum("ank,bnk->abn", flat, flat, optimize=True)
    both = present[:, None] & present[None]
    return 1 - (correlation * both).sum(axis=2) / both.sum(axis=2)


def farthest_point_order(distance: np.ndarray, least: float) -> list[tuple[int, float]]:
    """Greedy order (index, distance to the nearest one taken before), up to the first distance below `least`."""
    first = int(distance.mean(axis=1).argmin())
    order = [(first, 0.0)]
    nearest = distance[first].copy()
    while (gap := nearest.max()) >= least:
        chosen = int(nearest.argmax())
        order.append((chosen, float(gap)))
        nearest = np.minimum(nearest, distance[chosen])
    return order


def main(words: list[str] | None = None) -> int:
    """Run the command line and return the exit status."""
    return run_command("choose_typefaces", lambda: _print_order(words))


def _print_order(words: list[str] | None) -> None:
    parser = Parser(
        prog="python -m dev.glyphs.choose_typefaces",
        description="Print the farthest-point order of the candidate typefaces.",
    )
    parser.add_argument("--fonts", type=Path, required=True, help="folder of .deb packages or unpacked trees")
    arguments = parser.parse_args(words)
    faces, pictures, masks = [], [], []
    with tempfile.TemporaryDirectory() as scratch:
        for face in (face for face in read_typefaces() if "level-1" in face.full.split()):
            font = find_font(face, arguments.fonts, Path(scratch))
            (levels, present), (_, second) = render_typeface(font.path, face.index, blocks_of("desk"), _SIZE)
            verdict = "eligible" if present.mean() >= COVERAGE else "left out"
            share = f"{present.mean():.1%} of level 1, {second.mean():.1%} of level 2"
            print(f"{face.name}: {share}, {verdict}", flush=True)
            if verdict == "eligible":
                faces.append(face)
                pictures.append(levels[::SAMPLE_STEP])
                masks.append(present[::SAMPLE_STEP])
    order = farthest_point_order(distances(np.stack(pictures), np.stack(masks)), NEAR_DUPLICATE)
    for rank, (i, gap) in enumerate(order, start=1):
        print(f"{rank} {faces[i].name} {gap:.3f}")


if __name__ == "__main__":
    raise SystemExit(main())
