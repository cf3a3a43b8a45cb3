"""Every data set of the paper below one folder, generated: real layouts, enough searches for every operating point."""

from pathlib import Path

import numpy as np
from real_layouts import LANDMARKS, save_picture, write_identity_folders, write_market1501

N_SUBJECTS, PROBES, ENROLLED = 20, 11, 3


def write_paper_data(root: Path) -> Path:
    """Six training identities; IJB-C with 20 subjects, as below; Market-1501's three folders."""
    write_identity_folders(root / "imdb-face" / "aligned", n_identities=6)
    write_searched_ijbc(root / "ijbc")
    write_market1501(root / "Market-1501-v15.09.15")
    return root


def write_searched_ijbc(root: Path) -> Path:
    """ROOT/meta and ROOT/loose_crop: each subject has a template of three images and is searched 11 times with one.

    Ten subjects are in each gallery: 110 searches of each have no mate there. The pairs are all of one enrolled
    template and one probe.
    """
    meta, rng = root / "meta", np.random.default_rng(0)
    meta.mkdir(parents=True, exist_ok=True)
    enrolled = {500 + subject: subject for subject in range(N_SUBJECTS)}
    probes = {1000 + number: number % N_SUBJECTS for number in range(N_SUBJECTS * PROBES)}
    images = [(template, 2 * template + i // 2) for template in enrolled for i in range(ENROLLED)]
    images += [(template, 2 * template) for template in probes]
    lines: dict[str, list[str]] = {"face_tid_mid": [], "name_5pts_score": []}
    for number, (template, medium) in enumerate(images, 1):
        save_picture(root / "loose_crop" / f"{number}.jpg", number, 122, 118)
        points = LANDMARKS + rng.normal(0, 2, (5, 2)) + 4
        lines["face_tid_mid"].append(f"{number}.jpg {template} {medium}")
        lines["name_5pts_score"].append(f"{number}.jpg {' '.join(f'{v:.3f}' for v in points.ravel())} 0.9")
    lines["template_pair_label"] = [f"{a} {b} {int(x == y)}" for a, x in enrolled.items() for b, y in probes.items()]
    for name, text in lines.items():
        (meta / f"ijbc_{name}.txt").write_text("\n".join(text) + "\n", encoding="utf-8")
    of_g1 = [template for template, subject in enrolled.items() if subject < N_SUBJECTS // 2]
    lists = {"gallery_G1": of_g1, "gallery_G2": [t for t in enrolled if t not in of_g1], "probe_mixed": list(probes)}
    for name, templates in lists.items():
        rows = [f"{template},{(enrolled | probes)[template]},img/x.jpg" for template in templates]
        text = "\n".join(["TEMPLATE_ID,SUBJECT_ID,FILENAME", *rows])
        (meta / f"ijbc_1N_{name}.csv").write_text(text + "\n", encoding="utf-8")
    return root
