"""Check the inputs of a report: features of both models, labels, and optional images."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from bctlib.base.errors import BctError, UsageError
from bctlib.base.files import digest_of
from bctlib.base.text_lines import text_lines
from bctlib.data.photos.files import image_faults
from bctlib.upgrade.evaluate.comparisons import Comparison, Sides, open_sides
from bctlib.upgrade.evaluate.inputs import Features, FeatureSource, of_one_kind, read_identities
from bctlib.upgrade.report.query_map import QueryMap, open_query_map

if TYPE_CHECKING:
    from bctlib.upgrade.align import Map

LabelSource = np.ndarray | str | Path
UNMAPPED = "unmapped"
"""The new model where its queries do not go through the map that was given."""
ONE_LIST = ("paragon_features", "images")
TWO_LISTS = (
    "query_labels", "gallery_labels", "new_gallery_features", "paragon_query_features", "paragon_gallery_features",
    "query_images", "gallery_images",
)  # fmt: skip


@dataclass(frozen=True)
class Inputs:
    """Features of the same images by two or three models, and the class of each image.

    sides: query features [q, d] and gallery features [n, d] of each model. one_list: whether queries and gallery are
    the same images, each searched against all others. classes: names [c]; query_class [q], gallery_class [n]: int64
    positions in it. query_images, gallery_images: files in the order of the rows, or None. records: labels and their
    digests, for the report. query_map: what new queries go through on the old gallery, or None.
    """

    sides: Sides
    one_list: bool
    classes: np.ndarray
    query_class: np.ndarray
    gallery_class: np.ndarray
    query_images: list[Path] | None
    gallery_images: list[Path] | None
    records: list[dict]
    query_map: QueryMap | None = None

    def comparisons(self) -> list[Comparison]:
        """All pairs of models that have features; with a map, new/old goes through it and unmapped/old does not."""
        cross, *others = self.sides.comparisons()
        if self.query_map is None:
            return [cross, *others]
        mapped = replace(cross, query=self.query_map.mapped.array)
        return [mapped, replace(cross, query_model=UNMAPPED), *others]

    @property
    def itself(self) -> np.ndarray | None:
        """Gallery row [q] of the query's own image, which is no candidate; None for two lists."""
        return np.arange(len(self.query_class)) if self.one_list else None

    @property
    def query_counts(self) -> np.ndarray:
        """Query images of each class, int64 [c]."""
        return np.bincount(self.query_class, minlength=len(self.classes))

    @property
    def gallery_counts(self) -> np.ndarray:
        """Gallery images of each class, int64 [c]."""
        return np.bincount(self.gallery_class, minlength=len(self.classes))

    @property
    def mated(self) -> np.ndarray:
        """Whether the gallery holds another image of the query's class, bool [q]."""
        return (self.gallery_counts - self.one_list)[self.query_class] > 0

    @property
    def n_impostors(self) -> int:
        """Pairs of a query image and a gallery image of different classes."""
        return len(self.query_class) * len(self.gallery_class) - int(self.query_counts @ self.gallery_counts)

    def given(self) -> list[Features]:
        """Each feature file or array once."""
        if self.one_list:
            opened = [self.sides.query, self.sides.gallery, self.sides.paragon_query]
            opened[2] = opened[2] and replace(opened[2], name="paragon_features")
        else:
            opened = list(self.sides)
        return [features for features in opened if features is not None]


def open_inputs(
    query_features: FeatureSource,
    gallery_features: FeatureSource,
    labels: LabelSource | None = None,
    *,
    query_map: "Map | str | Path | None" = None,
    new_id: str | None = None,
    old_id: str | None = None,
    **others: FeatureSource | LabelSource | None,
) -> Inputs:
    """Open and check everything; arguments as for `bctlib.upgrade.report.report`.

    Raises UsageError for arguments that exclude each other, and BctError naming the file, and line or row, for unequal
    rows, widths that are not one model's, an old model wider than the new one, or no class that could be found.
    """
    given = {name: value for name, value in others.items() if value is not None}
    one_list = "old_query_features" not in given
    if query_map is None and (new_id, old_id) != (None, None):
        raise UsageError(f"{'old_id' if new_id is None else 'new_id'} is for a map: expected query_map too")
    _check_form(given, labels is not None, one_list)
    sources = {"query_labels": given.get("query_labels", labels), "gallery_labels": given.get("gallery_labels", labels)}
    if labels is not None:
        wanted, record = read_identities("labels", labels)
        enrolled, records = wanted, [record]
    else:
        wanted, first = read_identities("query_labels", sources["query_labels"])
        enrolled, second = read_identities("gallery_labels", sources["gallery_labels"])
        records = [first, second]
    names = [record["path"] or record["name"] for record in (records[0], records[-1])]
    sides = _open_sides(query_features, gallery_features, given, one_list, (len(wanted), len(enrolled)), names)
    _check_widths(sides)
    wanted, enrolled = of_one_kind(wanted, enrolled, names)
    classes, codes = np.unique(np.concatenate([wanted, enrolled]), return_inverse=True)
    query_class, gallery_class = codes[: len(wanted)].astype(np.int64), codes[len(wanted) :].astype(np.int64)
    if one_list:
        images = [_read_images("images", given.get("images"), len(wanted))] * 2
    else:
        images = [
            _read_images(name, given.get(name), n)
            for name, n in (("query_images", len(wanted)), ("gallery_images", len(enrolled)))
        ]
    opened = None if query_map is None else open_query_map(query_map, sides, new_id, old_id)
    if isinstance(query_map, str | Path):
        records.append({"name": "query_map", "path": str(query_map), "sha256": digest_of(Path(query_map))})
    inputs = Inputs(sides, one_list, classes, query_class, gallery_class, *images, records, opened)
    _check_classes(inputs, names)
    return inputs


def _check_form(given: dict, has_labels: bool, one_list: bool) -> None:
    wrong = [name for name in (TWO_LISTS if one_list else ONE_LIST) if name in given]
    if wrong and one_list:
        raise UsageError(
            f"{wrong[0]} is for two lists of images, which need old_query_features too (the old model on the queries): "
            "without it Eq. 2 has nothing to compare with"
        )
    if wrong:
        raise UsageError(
            f"{wrong[0]} is for one list of images embedded by both models: with old_query_features give "
            f"query_{wrong[0]} and gallery_{wrong[0]}".replace("query_paragon", "paragon_query").replace(
                "gallery_paragon", "paragon_gallery"
            )
        )
    if has_labels == any(name in given for name in ("query_labels", "gallery_labels")):
        raise UsageError("expected either labels, or both query_labels and gallery_labels")
    if not has_labels and not ("query_labels" in given and "gallery_labels" in given):
        raise UsageError("expected both query_labels and gallery_labels")


def _open_sides(query, gallery, given: dict, one_list: bool, counts: tuple[int, int], names: list[str]) -> Sides:
    if one_list:
        paragon = given.get("paragon_features")
        sources = {
            "query": query, "gallery": gallery, "old_query": gallery, "new_gallery": query,
            "paragon_query": paragon, "paragon_gallery": paragon,
        }  # fmt: skip
    else:
        others = ("old_query", "new_gallery", "paragon_query", "paragon_gallery")
        sources = {"query": query, "gallery": gallery} | {name: given.get(f"{name}_features") for name in others}
    return open_sides(sources, *counts, *(f"label of {name}" for name in names))


def _check_widths(sides: Sides) -> None:
    """Two files of one model are equally wide, and the old model is not wider than the new one."""
    models = {
        "old": (sides.gallery, sides.old_query),
        "new": (sides.query, sides.new_gallery),
        "paragon": (sides.paragon_query, sides.paragon_gallery),
    }
    for model, (first, second) in models.items():
        if first and second and first.array.shape[1] != second.array.shape[1]:
            raise BctError(
                f"{first.label} has {first.array.shape[1]} dimensions and {second.label} {second.array.shape[1]}: "
                f"expected features of one model, the {model} one"
            )
    old, new = sides.gallery, sides.query
    if old.array.shape[1] > new.array.shape[1]:
        raise BctError(
            f"{old.label} of the old model has {old.array.shape[1]} dimensions, more than the {new.array.shape[1]} of "
            f"{new.label}: expected an old model no wider than the new one, whose first elements are compared with it"
        )


def _check_classes(inputs: Inputs, names: list[str]) -> None:
    if len(inputs.classes) == 1:
        raise BctError(f"{names[0]} names one class only: expected others that it could be mistaken for")
    if inputs.mated.any():
        return
    if inputs.one_list:
        raise BctError(f"{names[0]} names no class twice: expected a class with two images, one to find the other")
    raise BctError(f"no class of {names[0]} occurs in {names[1]}: expected queries that can be found")


def _read_images(name: str, source, n: int) -> list[Path] | None:
    """The files of a list, one path on each line, relative to the list's folder; each file is checked."""
    if source is None:
        return None
    if isinstance(source, str | Path):
        label, folder = str(source), Path(source).resolve().parent
        lines = list(text_lines(source, "the path of an image on each line"))
    else:
        label, folder, lines = name, Path.cwd(), [str(path) for path in source]
    if len(lines) != n:
        raise BctError(f"{label} names {len(lines):,} images: expected {n:,}, one for each row of features")
    for position, path, wrong in image_faults(folder, [line.strip() for line in lines]):
        raise BctError(f"{label}, line {position + 1}: {path}: {wrong}")
    return [folder / line.strip() for line in lines]
