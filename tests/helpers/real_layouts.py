"""Tiny data sets in the exact layouts that people have on disk."""

from pathlib import Path

import numpy as np
from PIL import Image

LANDMARKS = np.array([[38.3, 51.7], [73.5, 51.5], [56.0, 71.7], [41.5, 92.4], [70.7, 92.2]])


def picture(seed: int, height: int = 112, width: int = 112) -> np.ndarray:
    """uint8 [height,width,3], smooth enough for JPEG to keep it."""
    coarse = np.random.default_rng(seed).integers(0, 256, (4, 4, 3), dtype=np.uint8)
    return np.asarray(Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC))


def save_picture(path: Path, seed: int, height: int = 112, width: int = 112) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(picture(seed, height, width)).save(path, quality=95)
    return path


def truncate(path: Path) -> Path:
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    return path


def write_identity_folders(root: Path, n_identities: int = 4, n_images: int = 3) -> Path:
    """ROOT/nm0000007/rm3.jpg; made in an order that is not the sorted one."""
    for identity in reversed(range(n_identities)):
        for image in reversed(range(n_images)):
            save_picture(root / f"nm{identity:07d}" / f"rm{image}.jpg", 100 * identity + image)
    return root


def write_imdb_csv(path: Path, n_identities: int = 4, n_images: int = 3) -> Path:
    """The lines that go with `write_identity_folders`: pictures of 112 x 112, stated at twice the height and width."""
    lines = ["name,index,image,rect,height width,url"]
    for identity in range(n_identities):
        for image in range(n_images):
            row = f"Person {identity},nm{identity:07d},rm{image},20 40 120 180,224 224,http://example.org/{image}.jpg"
            lines.append(row)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def write_ijbc(root: Path) -> Path:
    """ROOT/meta and ROOT/loose_crop: 8 templates of two images, subjects 0 to 3; template 10 + 2 s enrols subject s."""
    meta, rng = root / "meta", np.random.default_rng(0)
    meta.mkdir(parents=True, exist_ok=True)
    names, tids, points = [], [], []
    for image in range(16):
        name = f"{image + 1}.jpg"
        save_picture(root / "loose_crop" / name, image, 130, 120)
        moved = LANDMARKS + rng.normal(0, 2, (5, 2)) + 4
        names.append(name)
        tids.append(f"{name} {10 + image // 2} {image}")
        points.append(f"{name} {' '.join(f'{v:.3f}' for v in moved.ravel())} 0.9")
    templates = [10 + t for t in range(8)]
    subject = {t: (t - 10) // 2 for t in templates}
    pairs = [f"{a} {b} {int(subject[a] == subject[b])}" for a in templates[::2] for b in templates[1::2]]
    header = "TEMPLATE_ID,SUBJECT_ID,FILENAME"
    text = {
        "ijbc_face_tid_mid.txt": tids, "ijbc_name_5pts_score.txt": points, "ijbc_template_pair_label.txt": pairs,
        "ijbc_1N_gallery_G1.csv": [header, *(f"{t},{subject[t]},x" for t in (10, 10, 12))],
        "ijbc_1N_gallery_G2.csv": [header, *(f"{t},{subject[t]},x" for t in (14, 16, 16))],
        "ijbc_1N_probe_mixed.csv": [header, *(f"{t},{subject[t]},x" for t in templates[1::2])],
    }  # fmt: skip
    for name, lines in text.items():
        (meta / name).write_text("\n".join(lines) + "\n", encoding="utf-8")
    return root


def write_market1501(root: Path) -> Path:
    """Three identities to train on, two to search, one junk and one distractor in the gallery; images of 128 x 64."""
    seed = 0
    for part, identities in (
        ("bounding_box_train", (7, 2, 11)),
        ("bounding_box_test", (-1, 0, 3, 5)),
        ("query", (3, 5)),
    ):
        for identity in identities:
            for camera in (1, 2):
                number = "-1" if identity == -1 else f"{identity:04d}"
                save_picture(root / part / f"{number}_c{camera}s1_000451_03.jpg", seed, 128, 64)
                seed += 1
        (root / part / "Thumbs.db").write_bytes(b"")
    return root
