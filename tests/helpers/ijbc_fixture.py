"""Tiny generated stand-ins with the exact layouts of IJB-C's meta/ and of Market-1501."""

from pathlib import Path

import numpy as np


def write_ijbc(folder: Path, seed: int = 0, n_subjects: int = 12, dimension: int = 16) -> dict:
    """Six files like those of meta/ in `folder`, and what they hold, for oracles.

    Template ids have gaps and are not in the order of the images; a medium holds several images; the CSVs have a line
    for every image. Features of two models are in "new" and "old", [images, dimension].
    """
    rng = np.random.default_rng(seed)
    folder.mkdir(parents=True, exist_ok=True)
    subjects = rng.permutation(900)[:n_subjects] + 3
    galleries = {"G1": subjects[: n_subjects // 2], "G2": subjects[n_subjects // 2 :]}
    template_subject = np.concatenate([subjects, np.repeat(subjects, 3)])
    template_id = rng.permutation(5000)[: len(template_subject)] + 1
    n_images = rng.integers(1, 5, len(template_subject))
    image_template = np.repeat(np.arange(len(template_subject)), n_images)
    image_template = image_template[rng.permutation(len(image_template))]
    image_medium = rng.integers(1, 4, len(image_template)) + 10 * image_template
    names = [f"{i}.jpg" for i in range(1, len(image_template) + 1)]
    score = rng.uniform(0.5, 1, len(names)).round(6)
    points = rng.uniform(0, 112, (len(names), 10)).round(4)
    images = [f"{n} {template_id[t]} {m}" for n, t, m in zip(names, image_template, image_medium, strict=True)]
    fives = [f"{n} {' '.join(map(str, p))} {s}" for n, p, s in zip(names, points, score, strict=True)]
    enrolled, probes = np.arange(n_subjects), np.arange(n_subjects, len(template_subject))
    first = np.repeat(enrolled, len(probes))
    second = np.tile(probes, len(enrolled))
    label = (template_subject[first] == template_subject[second]).astype(int)
    pairs = [f"{template_id[a]} {template_id[b]} {y}" for a, b, y in zip(first, second, label, strict=True)]
    texts = {"face_tid_mid.txt": images, "name_5pts_score.txt": fives, "template_pair_label.txt": pairs}
    of_list = {name: np.flatnonzero(np.isin(template_subject[:n_subjects], g)) for name, g in galleries.items()}
    for name, templates in (("gallery_G1", of_list["G1"]), ("gallery_G2", of_list["G2"]), ("probe_mixed", probes)):
        rows = ["TEMPLATE_ID,SUBJECT_ID,FILENAME"]
        for template in templates:
            for image in np.flatnonzero(image_template == template):
                rows.append(f"{template_id[template]},{template_subject[template]},img/{names[image]}")
        texts[f"1N_{name}.csv"] = rows
    for name, lines in texts.items():
        (folder / f"ijbc_{name}").write_text("\n".join(lines) + "\n")
    centre = rng.normal(size=(1000, dimension))[template_subject[image_template]]
    new, old = (centre + noise * rng.normal(size=centre.shape) for noise in (0.9, 1.6))
    return {
        "template_subject": template_subject, "template_id": template_id, "image_template": image_template,
        "image_medium": image_medium, "score": score, "first": first, "second": second, "label": label,
        "galleries": of_list, "probes": probes, "new": new.astype(np.float32), "old": old.astype(np.float32),
        "names": names, "points": points,
    }  # fmt: skip


def market_names(seed: int = 0, n_identities: int = 8) -> tuple[list[str], list[str]]:
    """(query names, gallery names) with junk, distractors, and matches by the query's own camera."""
    rng = np.random.default_rng(seed)
    query, gallery, number = [], [], 0
    for identity in (*range(2, 2 + n_identities), -1, 0):
        label = "-1" if identity == -1 else f"{identity:04d}"
        for camera in rng.permutation(6)[:4] + 1:
            for _ in range(int(rng.integers(1, 4))):
                number += 1
                gallery.append(f"{label}_c{camera}s1_{number:06d}_00.jpg")
            if identity > 0 and camera % 2:
                query.append(f"{label}_c{camera}s1_{number:06d}_01.jpg")
    return query, [gallery[i] for i in rng.permutation(len(gallery))]


def market_arrays(names: list[str]) -> tuple[np.ndarray, np.ndarray]:
    """Identity and camera, read in another way than the library does."""
    return np.array([int(n.split("_")[0]) for n in names]), np.array([int(n.split("_c")[1][0]) for n in names])
