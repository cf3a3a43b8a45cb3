"""IJB-C: its metadata in the usual distribution, and its two protocols in the form of the glyph protocols.

The six text files of `meta/` are joined by the order of their lines, as is common; here the names must agree too, and
every identifier must be known where it is used. A fault is reported with file and line.

The protocols are template sets over one pool of images, so searches, backfill and pictures of templates work as on
glyphs. The 1:1 protocol is a list of pairs, not all pairs, and images have weights (`media_weights`): the detector's
score / number of images of the same medium in the template, so that the benchmark's pooling is a weighted sum.
"""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from bctlib.base.errors import BctError
from bctlib.base.files import digest_of
from bctlib.data.paper.ijbc_text import read_images, read_integer_lines, read_list, read_points
from bctlib.data.photos.parsed_cache import cached_arrays
from bctlib.data.templates import TemplateSet, media_weights, template_embeddings
from bctlib.metrics.verification import VerificationScores, pair_scores

if TYPE_CHECKING:  # these load torch, which reading the metadata does not need
    from bctlib.data.photos.sets import ImageFilePool
    from bctlib.data.protocols import IdentificationProtocol

FILES = {
    "images": "ijbc_face_tid_mid.txt",
    "points": "ijbc_name_5pts_score.txt",
    "pairs": "ijbc_template_pair_label.txt",
    "G1": "ijbc_1N_gallery_G1.csv",
    "G2": "ijbc_1N_gallery_G2.csv",
    "probes": "ijbc_1N_probe_mixed.csv",
}
GALLERIES = ("G1", "G2")
LARGEST_ID = 10**8
"""The published ids go up to some 188,000; a damaged one must not cost gigabytes."""
PUBLISHED = {
    "images": 469_375, "templates": 23_124, "pairs": 15_658_489, "genuine pairs": 19_557,
    "G1 templates": 1_772, "G2 templates": 1_759, "probe templates": 19_593,
}  # fmt: skip


@dataclass(frozen=True)
class IjbcMeta:
    """Everything of IJB-C that evaluation from features needs. n images, t templates, p pairs.

    image_name: str [n], in the order of the files, which is the order of the rows of a feature file.
    image_template: int32 [n], positions in template_id. image_medium: int32 [n]. landmarks: float32 [n, 5, 2], pixels
    of the loose crop. detector_score: float32 [n]. template_id: int32 [t], ascending, as in the files.
    pair_first, pair_second: int32 [p], positions in template_id. pair_genuine: bool [p].
    lists: for "G1", "G2", "probes" (templates as positions in template_id, subjects), int32 [k] each, one entry a
    template, in the order of the files. sha256: of each file, by its key in FILES.
    """

    folder: Path
    image_name: np.ndarray
    image_template: np.ndarray
    image_medium: np.ndarray
    landmarks: np.ndarray
    detector_score: np.ndarray
    template_id: np.ndarray
    pair_first: np.ndarray
    pair_second: np.ndarray
    pair_genuine: np.ndarray
    lists: dict[str, tuple[np.ndarray, np.ndarray]]
    sha256: dict[str, str] = field(repr=False)

    @property
    def counts(self) -> dict[str, int]:
        """What was read, under the names of PUBLISHED."""
        sizes = {f"{name} templates": len(self.lists[name][0]) for name in GALLERIES}
        return {
            "images": len(self.image_name), "templates": len(self.template_id), "pairs": len(self.pair_first),
            "genuine pairs": int(np.count_nonzero(self.pair_genuine)), **sizes,
            "probe templates": len(self.lists["probes"][0]),
        }  # fmt: skip

    def check_searches(self) -> None:
        """Raises BctError if a gallery has no mated or no non-mated searches: accuracies are then undefined."""
        for gallery in GALLERIES:
            mated = np.isin(self.lists["probes"][1], self.lists[gallery][1])
            if mated.all() or not mated.any():
                which = "all" if mated.all() else "none"
                raise BctError(f"{which} of the subjects of {FILES['probes']} are in {FILES[gallery]}: expected some")

    def differs_from_published(self) -> str:
        """One sentence on the counts that are not those of the published IJB-C; "" where all are."""
        other = [f"{n:,} {name} ({PUBLISHED[name]:,})" for name, n in self.counts.items() if n != PUBLISHED[name]]
        if not other:
            return ""
        return f"{self.folder} is not the whole published IJB-C; it holds (published): {', '.join(other)}"


def read_ijbc_meta(folder: Path | str) -> IjbcMeta:
    """Read and check the six files of `folder`; the second reading of unchanged files comes from a cache.

    Raises BctError naming the file, and where there is one the line, for: a file that is missing; a wrong number of
    fields; a field that is no number; names that differ between the two lists of images; a template without images;
    a label other than 0 and 1; a template with two subjects or media lists of different lengths; a probe whose
    subject is in neither gallery.
    """
    folder = Path(folder)
    paths = {key: folder / name for key, name in FILES.items()}
    missing = [path.name for path in paths.values() if not path.is_file()]
    if missing:
        raise BctError(f"{folder} lacks {', '.join(missing)}: expected the meta/ folder of IJB-C's usual distribution")
    arrays, _ = cached_arrays("ijbc", list(paths.values()), lambda: _parse(paths))
    sha256 = dict(zip(FILES, map(str, arrays.pop("sha256")), strict=True))
    lists = {key: (arrays.pop(f"{key}_template"), arrays.pop(f"{key}_subject")) for key in (*GALLERIES, "probes")}
    return IjbcMeta(folder=folder, lists=lists, sha256=sha256, **arrays)


def _parse(paths: dict[str, Path]) -> dict[str, np.ndarray]:
    with ThreadPoolExecutor(2) as pool:  # the pairs are most of the work, and hashing needs no interpreter
        pairs = pool.submit(read_integer_lines, paths["pairs"], ("template", "template", "label"))
        sha256 = pool.submit(lambda: [digest_of(path) for path in paths.values()])
        return _joined(paths, pairs.result) | {"sha256": np.array(sha256.result())}


def _joined(paths: dict[str, Path], pairs: Callable[[], list[np.ndarray]]) -> dict[str, np.ndarray]:
    names, template, medium = read_images(paths["images"])
    template_id, image_template = np.unique(template, return_inverse=True)
    landmarks, score = read_points(paths["points"], names, paths["images"])
    position = _Positions(template_id, paths["images"])
    arrays = {
        "image_name": np.array(names), "image_template": image_template.astype(np.int32), "image_medium": medium,
        "landmarks": landmarks, "detector_score": score, "template_id": template_id,
    }  # fmt: skip
    first, second, label = pairs()
    if (label > 1).any():
        line = int(np.flatnonzero(label > 1)[0])
        raise BctError(f"{paths['pairs']}, line {line + 1}: the label is {label[line]}, expected 0 or 1")
    if label.all() or not label.any():
        raise BctError(f"{paths['pairs']} has {label.sum()} genuine pairs of {len(label)}: expected labels 0 and 1")
    arrays["pair_first"] = position.of(first, paths["pairs"])
    arrays["pair_second"] = position.of(second, paths["pairs"])
    arrays["pair_genuine"] = label.astype(bool)
    for key in (*GALLERIES, "probes"):
        templates, subjects, lines = read_list(paths[key])
        arrays[f"{key}_template"] = position.of(templates, paths[key], lines)
        arrays[f"{key}_subject"] = subjects
        if key == "probes":
            _check_mates(paths, subjects, lines, np.concatenate([arrays[f"{g}_subject"] for g in GALLERIES]))
    return arrays


class _Positions:
    """From template ids, which have gaps, to positions among the templates that have images."""

    def __init__(self, template_id: np.ndarray, source: Path):
        if template_id[-1] > LARGEST_ID:
            raise BctError(f"{source} has a template {template_id[-1]}: expected ids up to {LARGEST_ID}")
        self.table = np.full(int(template_id[-1]) + 2, -1, np.int32)
        self.table[template_id] = np.arange(len(template_id), dtype=np.int32)
        self.source = source

    def of(self, ids: np.ndarray, path: Path, lines: np.ndarray | None = None) -> np.ndarray:
        """lines: the line of each id, where that is not simply its place."""
        positions = self.table[np.minimum(ids, len(self.table) - 1)]
        if len(positions) and positions.min() < 0:
            bad = int(np.flatnonzero(positions < 0)[0])
            line = bad + 1 if lines is None else lines[bad]
            raise BctError(f"{path}, line {line}: template {ids[bad]} has no image in {self.source.name}")
        return positions


def _check_mates(paths: dict[str, Path], subjects: np.ndarray, lines: np.ndarray, enrolled: np.ndarray) -> None:
    unknown = ~np.isin(subjects, enrolled)
    if unknown.any():
        bad = int(np.flatnonzero(unknown)[0])
        raise BctError(
            f"{paths['probes']}, line {lines[bad]}: subject {subjects[bad]} is in neither {paths['G1'].name} "
            f"nor {paths['G2'].name}"
        )


@dataclass(frozen=True)
class PairListProtocol:
    """1:1 over p listed pairs.

    templates: every template, t of them. pair_first, pair_second: int32 [p], positions in them; pair_genuine: bool [p].
    first, second: the probes and the enrolled templates alone, for pictures and counts.
    """

    templates: TemplateSet
    pair_first: np.ndarray
    pair_second: np.ndarray
    pair_genuine: np.ndarray
    first: TemplateSet
    second: TemplateSet

    @property
    def n_genuine(self) -> int:
        """Number of pairs of one identity."""
        return int(np.count_nonzero(self.pair_genuine))

    @property
    def n_impostor(self) -> int:
        """Number of pairs of two identities."""
        return len(self.pair_genuine) - self.n_genuine

    def scores(self, query: np.ndarray, gallery: np.ndarray, keep: float | None = None) -> VerificationScores:
        """Cosines of the listed pairs, from image features [n, d] of two models. All are kept, whatever `keep` says."""
        first, second = (template_embeddings(each, self.templates) for each in (query, gallery))
        scores = pair_scores(first, self.pair_first, second, self.pair_second)
        return VerificationScores(scores[self.pair_genuine], scores[~self.pair_genuine], self.n_impostor)


@dataclass(frozen=True)
class IjbcProtocols:
    """Both protocols over the pool of all images, whose order is that of the metadata. Identities are subjects."""

    every_point = True  # the benchmark reports every operating point

    meta: IjbcMeta
    pool: "ImageFilePool"
    verification: PairListProtocol
    identification: "IdentificationProtocol"

    @property
    def identities(self) -> np.ndarray:
        """Subjects that are enrolled, sorted."""
        return np.unique(self.verification.second.identity)

    @cached_property
    def counts(self) -> dict[str, int]:
        """How many subjects, images, templates, pairs and searches there are."""
        return {
            "identities": len(self.identities),
            "images": self.pool.size,
            "templates": self.verification.templates.size,
            "genuine pairs": self.verification.n_genuine,
            "impostor pairs": self.verification.n_impostor,
        } | self.identification.counts


def ijbc_protocols(meta: IjbcMeta, pool: "ImageFilePool") -> IjbcProtocols:
    """The protocols of the metadata over a pool of its images in their order (`ijbc_pool`).

    A template that is in neither gallery nor among the probes has the identity -1: it occurs in pairs alone. Raises
    BctError as `IjbcMeta.check_searches` does.
    """
    from bctlib.data.protocols import IdentificationProtocol

    meta.check_searches()
    identity = np.full(len(meta.template_id), -1, np.int64)
    for templates, subjects in meta.lists.values():
        identity[templates] = subjects
    order = np.argsort(meta.image_template, kind="stable")
    start = np.searchsorted(meta.image_template[order], np.arange(len(identity) + 1)).astype(np.int64)
    weight = media_weights(meta.image_template, meta.image_medium, meta.detector_score)
    every = TemplateSet(order.astype(np.int64), start, identity, weight[order])
    probes, *galleries = (every.take(meta.lists[name][0]) for name in ("probes", *GALLERIES))
    enrolled = every.take(np.concatenate([meta.lists[name][0] for name in GALLERIES]))
    pairs = PairListProtocol(every, meta.pair_first, meta.pair_second, meta.pair_genuine, probes, enrolled)
    return IjbcProtocols(meta, pool, pairs, IdentificationProtocol(probes, tuple(galleries)))
