"""Seeded data for the benchmarks; nothing comes from a real person.

Features and metadata have the sizes of IJB-C and Market-1501. Training images are JPEG files in a folder for each
identity; those in memory are `companion.sources.generated`.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from bctlib.data.paper.ijbc import FILES
from bctlib.data.paper.market1501 import Market1501Labels


@dataclass(frozen=True)
class Sizes:
    """How much is generated: one gallery template per subject, the others are probes; about three images a medium."""

    images: int
    subjects: int
    first_gallery: int
    probes: int
    pairs: int
    genuine: int
    dimension: int
    queries: int
    market_gallery: int
    market_identities: int
    galleries: tuple[int, ...]
    searches: int
    upgrade: tuple[int, int]


REAL = Sizes(
    images=469_375, subjects=3_531, first_gallery=1_772, probes=19_593, pairs=15_658_489, genuine=19_557,
    dimension=512, queries=3_368, market_gallery=15_913, market_identities=750,
    galleries=(10_000, 30_000, 100_000, 300_000, 1_000_000), searches=1_000,
    upgrade=(20_000, 100_000),
)  # fmt: skip
SMALL = Sizes(
    images=2_000, subjects=30, first_gallery=16, probes=160, pairs=2_500, genuine=150, dimension=16, queries=40,
    market_gallery=300, market_identities=12, galleries=(500, 2_000), searches=50, upgrade=(80, 400),
)  # fmt: skip


@dataclass(frozen=True)
class GeneratedIjbc:
    """The content of the files of `write_meta` as arrays: templates 0 to subjects - 1 are the galleries."""

    template: np.ndarray
    medium: np.ndarray
    score: np.ndarray
    subject: np.ndarray
    first: np.ndarray
    second: np.ndarray
    genuine: np.ndarray


def generate_ijbc(sizes: Sizes, seed: int = 0) -> GeneratedIjbc:
    """The structure of the benchmark: image to template and medium, template to subject, the list of pairs."""
    rng = np.random.default_rng(seed)
    n_templates = sizes.subjects + sizes.probes
    owner = np.r_[np.arange(n_templates), rng.integers(0, n_templates, sizes.images - n_templates)]
    template = np.sort(owner).astype(np.int32)
    medium = (np.arange(sizes.images) // 3 + template).astype(np.int32)
    subject = np.r_[np.arange(sizes.subjects), rng.integers(0, sizes.subjects, sizes.probes)].astype(np.int32)
    probes = np.sort(rng.permutation(sizes.probes)[: sizes.genuine]) + sizes.subjects
    n_impostors = sizes.pairs - sizes.genuine
    share = 1.01 * n_impostors / (sizes.subjects - 1) / sizes.probes
    rows, columns = [], []
    for row in range(sizes.subjects):
        chosen = np.flatnonzero(rng.random(sizes.probes, dtype=np.float32) < share) + sizes.subjects
        chosen = chosen[subject[chosen] != row].astype(np.int32)
        columns.append(chosen)
        rows.append(np.full(len(chosen), row, np.int32))
    first, second = np.concatenate(rows), np.concatenate(columns)
    # A few too many were drawn; pairs are listed by their first template, as the benchmark's are.
    keep = np.ones(len(first), bool)
    keep[rng.permutation(len(first))[n_impostors:]] = False
    first, second = np.r_[first[keep], subject[probes]], np.r_[second[keep], probes].astype(np.int32)
    order = np.argsort(first, kind="stable")
    genuine = np.r_[np.zeros(len(first) - len(probes), bool), np.ones(len(probes), bool)]
    score = rng.uniform(0.5, 1, sizes.images).astype(np.float32)
    return GeneratedIjbc(template, medium, score, subject, first[order], second[order], genuine[order])


def image_features(data: GeneratedIjbc, sizes: Sizes, noise: float, seed: int) -> np.ndarray:
    """float32 [images, dimension]: a direction for each subject, the same for every seed, and noise of this model."""
    centre = np.random.default_rng(12345).standard_normal((sizes.subjects, sizes.dimension), dtype=np.float32)
    features = np.random.default_rng(seed).standard_normal((sizes.images, sizes.dimension), dtype=np.float32)
    features *= noise
    for start in range(0, sizes.images, 1 << 14):
        block = slice(start, start + (1 << 14))
        features[block] += centre[data.subject[data.template[block]]]
    return features


def generate_upgrade(sizes: Sizes, dimension: int = 128) -> dict[str, np.ndarray]:
    """The arguments of `bctlib report` with queries and gallery of `sizes.upgrade`, five gallery images a class.

    A quarter of the queries is of classes that the gallery lacks; the new model has less noise than the old one.
    """
    n_query, n_gallery = sizes.upgrade
    classes = n_gallery // 5
    rng = np.random.default_rng(0)
    centre = rng.standard_normal((classes + n_query, dimension), dtype=np.float32)
    gallery = rng.integers(0, classes, n_gallery)
    query = np.where(np.arange(n_query) % 4, rng.choice(gallery, n_query), classes + np.arange(n_query) // 8)

    def features(labels: np.ndarray, noise: float, seed: int) -> np.ndarray:
        return centre[labels] + noise * np.random.default_rng(seed).standard_normal(
            (len(labels), dimension), np.float32
        )

    return {
        "query_features": features(query, 1.2, 1), "gallery_features": features(gallery, 1.6, 2),
        "old_query_features": features(query, 1.6, 3), "new_gallery_features": features(gallery, 1.2, 4),
        "query_labels": query, "gallery_labels": gallery,
    }  # fmt: skip


def write_meta(folder: Path, data: GeneratedIjbc, sizes: Sizes) -> None:
    """The six files of meta/ in their published layout; template t has the id 8 t + 3."""
    folder.mkdir(parents=True, exist_ok=True)
    ids = [str(8 * t + 3) for t in range(len(data.subject))]
    names = [f"{i}.jpg" for i in range(1, sizes.images + 1)]
    triples = zip(names, data.template.tolist(), data.medium.tolist(), strict=True)
    _write(folder / FILES["images"], (f"{name} {ids[t]} {medium}" for name, t, medium in triples))
    points = " 38.29 51.70 73.53 51.50 56.03 71.74 41.55 92.37 70.73 92.20 "
    _write(folder / FILES["points"], (f"{n}{points}{s:.6f}" for n, s in zip(names, data.score.tolist(), strict=True)))
    ends = [[f" {each} {label}\n" for each in ids] for label in (0, 1)]
    with (folder / FILES["pairs"]).open("w", encoding="ascii") as file:
        edges = np.searchsorted(data.first, np.arange(sizes.subjects + 1))
        for row in range(sizes.subjects):
            here = slice(edges[row], edges[row + 1])
            pairs = zip(data.genuine[here].tolist(), data.second[here].tolist(), strict=True)
            file.writelines(ids[row] + ends[label][column] for label, column in pairs)
    images = np.bincount(data.template, minlength=len(ids))
    spans = {
        "G1": range(sizes.first_gallery), "G2": range(sizes.first_gallery, sizes.subjects),
        "probes": range(sizes.subjects, len(ids)),
    }  # fmt: skip
    for key, templates in spans.items():
        rows = (f"{ids[t]},{data.subject[t]},img/{i}.jpg" for t in templates for i in range(images[t]))
        _write(folder / FILES[key], ["TEMPLATE_ID,SUBJECT_ID,FILENAME", *rows])


def generate_market(sizes: Sizes, dimension: int, seed: int = 0):
    """(query features, labels, gallery features, labels) with the published 3,819 junk images in proportion."""
    rng = np.random.default_rng(seed)
    n_junk = round(sizes.market_gallery * 3_819 / 15_913)
    n_distractors = round(sizes.market_gallery * 2_798 / 15_913)
    known = rng.integers(1, sizes.market_identities + 1, sizes.market_gallery - n_distractors)
    identity = rng.permutation(np.r_[known, np.zeros(n_distractors, int), np.full(n_junk, -1)])
    gallery = Market1501Labels(identity, rng.integers(1, 7, len(identity)))
    query = Market1501Labels(
        rng.integers(1, sizes.market_identities + 1, sizes.queries), rng.integers(1, 7, sizes.queries)
    )
    centre = rng.standard_normal((sizes.market_identities + 1, dimension), dtype=np.float32)
    features = []
    for labels in (query, gallery):
        noise = rng.standard_normal((len(labels.identity), dimension), dtype=np.float32)
        person = labels.identity > 0
        noise[person] = 1.6 * noise[person] + centre[labels.identity[person]]
        features.append(noise)
    return features[0], query, features[1], gallery


def _write(path: Path, lines) -> None:
    with path.open("w", encoding="ascii") as file:
        file.writelines(line + "\n" for line in lines)


def write_photographs(root: Path, count: int, side: int = 112, seed: int = 0) -> tuple[list[str], np.ndarray]:
    """ROOT/0000000/00.jpg and so on, 20 of an identity, RGB with the noise of photographs: paths below root, bytes."""
    rng = np.random.default_rng(seed)
    paths, sizes = [], []
    for number in range(count):
        coarse = Image.fromarray(rng.integers(0, 256, (9, 9, 3), dtype=np.uint8))
        smooth = np.asarray(coarse.resize((side, side), Image.Resampling.BICUBIC), np.int16)
        noisy = (smooth + rng.integers(-12, 13, smooth.shape, dtype=np.int16)).clip(0, 255).astype(np.uint8)
        path = root / f"{number // 20:07d}" / f"{number % 20:02d}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(noisy).save(path, quality=90)
        paths.append(path.relative_to(root).as_posix())
        sizes.append(path.stat().st_size)
    return paths, np.array(sizes)
