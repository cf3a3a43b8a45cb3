"""`bctlib report` and the function `report`: whether to deploy a new model without backfill, as a page."""

import argparse
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from bctlib.base.command import EXIT_STATUS, Parser, add_points, run_command
from bctlib.upgrade.report.measured.resampling import RESAMPLES

if TYPE_CHECKING:
    from bctlib.upgrade.align import Map
    from bctlib.upgrade.report.page import UpgradePage

Source = np.ndarray | str | Path
Images = str | Path | Iterable[str | Path]

DESCRIPTION = f"""\
Says in plain words whether a new model can be deployed without backfilling the gallery, and shows why: Eq. 2 at each
operating point with bootstrap intervals over identities, update gain, what is lost without backfill, the backfill
curve, scores, classes that get worse, retrievals that change. Writes report.html (one file, nothing else needed) and
report.json into --out.

One list of images, embedded by both models (the rows of both files are the same images): give --query-features,
--gallery-features and --labels. Each image is searched for among all others.

Two lists, queries and gallery: give --old-query-features too, and labels of both (--labels where one file serves both);
--new-gallery-features adds what would be gained by a backfill, and the backfill curve.

--query-map maps the new queries into the old space before they search the old gallery, and says how much of the gallery
must be backfilled until new queries do better without it.

A query whose class has no (other) image in the gallery is a non-mated search: nobody should be found. With enough of
them TPIR@FPIR decides, without them rank 1 and mAP; TAR@FAR over all pairs decides always.

{EXIT_STATUS}"""
EXAMPLES = """\
examples:
  bctlib report --query-features new.npy --gallery-features old.npy --labels labels.txt --out judged
  bctlib report --query-features new_q.npy --gallery-features old_g.npy --old-query-features old_q.npy \\
      --new-gallery-features new_g.npy --query-labels query.txt --gallery-labels gallery.txt --out judged \\
      --query-images query_files.txt --gallery-images gallery_files.txt
"""


def report(
    query_features: Source,
    gallery_features: Source,
    labels: Source | None = None,
    *,
    query_labels: Source | None = None,
    gallery_labels: Source | None = None,
    old_query_features: Source | None = None,
    new_gallery_features: Source | None = None,
    paragon_features: Source | None = None,
    paragon_query_features: Source | None = None,
    paragon_gallery_features: Source | None = None,
    query_map: "Map | str | Path | None" = None,
    new_id: str | None = None,
    old_id: str | None = None,
    groups: Mapping[str, str] | str | Path | None = None,
    images: Images | None = None,
    query_images: Images | None = None,
    gallery_images: Images | None = None,
    far: Sequence[float] | None = None,
    fpir: Sequence[float] | None = None,
    ranks: Sequence[int] | None = None,
    resamples: int = RESAMPLES,
    orders: int | None = None,
    seed: int = 0,
) -> "UpgradePage":
    """Judge an upgrade; the page's `judgement` holds everything, `save(folder)` writes HTML and JSON.

    query_features: of the new model, [n, d_new]; gallery_features: of the old one, [m, d_old], d_old <= d_new; arrays
    or .npy files. Without old_query_features both are of the same images (n = m) and `labels` and `images` belong to
    their rows. With it (the old model on the queries) queries and gallery are two lists, with labels of both (`labels`
    if one serves both), optionally new_gallery_features, the paragon's two, and images of both. Labels: integers
    or strings, an array, a .npy file, or a text file with one on each line. Images: a text file with a path on each
    line, relative to its own folder, or paths. query_map: a map of `bctlib align` that new queries go through on the
    old gallery; new_id, old_id: the models of these features (else the names of their files); a map of other models or
    in the other direction is refused. groups: a CSV file with the header `class,group`, or a mapping, adds who gets
    worse. far, fpir, ranks: operating points (else the paper's that these data
    can carry; those named here all decide). resamples: of identities. orders: random orders of the backfill (else 5
    to 20 by size). seed: of both. Raises UsageError for arguments that do not go together and BctError, naming file
    and line or row, for whatever does not fit.
    """
    from bctlib.upgrade.report.evidence.groups import codes_of_groups, read_groups
    from bctlib.upgrade.report.inputs import open_inputs
    from bctlib.upgrade.report.judge import judge
    from bctlib.upgrade.report.page import UpgradePage

    group_of = None if groups is None else read_groups(groups)
    inputs = open_inputs(
        query_features, gallery_features, labels,
        query_labels=query_labels, gallery_labels=gallery_labels, old_query_features=old_query_features,
        new_gallery_features=new_gallery_features, paragon_features=paragon_features,
        paragon_query_features=paragon_query_features, paragon_gallery_features=paragon_gallery_features,
        query_map=query_map, new_id=new_id, old_id=old_id,
        images=images, query_images=query_images, gallery_images=gallery_images,
    )  # fmt: skip
    codes = None
    if group_of is not None:
        codes = codes_of_groups(group_of, inputs, str(groups) if isinstance(groups, str | Path) else "groups")
    return UpgradePage(judge(inputs, far, fpir, ranks, resamples, orders, seed, codes))


def main(argv: list[str] | None = None) -> int:
    """Do what the command line asks and give the exit status; errors are one sentence on stderr."""
    return run_command("bctlib report", lambda: _report(vars(_parser().parse_args(argv))))


def _report(options: dict) -> None:
    from bctlib.upgrade.report.page import check_folder

    folder = options.pop("out")
    check_folder(folder)
    page = report(**options)
    written = page.save(folder)
    print(f"{page.summary()}\nwritten to {folder}: {', '.join(path.name for path in written)}")


def _parser() -> argparse.ArgumentParser:
    parser = Parser(prog="bctlib report", description=DESCRIPTION, epilog=EXAMPLES)
    either = parser.add_argument_group("always")
    either.add_argument("--query-features", type=Path, required=True, metavar="NPY", help="of the new model, [n, d]")
    either.add_argument("--gallery-features", type=Path, required=True, metavar="NPY", help="of the old model, [m, d]")
    either.add_argument("--out", type=Path, required=True, metavar="DIR", help="report.html and report.json go here")
    one = parser.add_argument_group("one list of images")
    one.add_argument("--labels", type=Path, metavar="FILE", help="a class on each line, or .npy [n]")
    one.add_argument(
        "--paragon", "--paragon-features", dest="paragon_features", type=Path, metavar="NPY",
        help="of new*, trained without regard to the old model: gives the update gain of Eq. 9",
    )  # fmt: skip
    one.add_argument(
        "--images", type=Path, metavar="FILE", help="path of an image on each line, from the file's folder"
    )
    two = parser.add_argument_group("two lists, queries and gallery")
    two.add_argument("--old-query-features", type=Path, metavar="NPY", help="the old model on the queries")
    two.add_argument("--new-gallery-features", type=Path, metavar="NPY", help="the new model on the gallery")
    for part in ("query", "gallery"):
        two.add_argument(f"--{part}-labels", type=Path, metavar="FILE", help=f"classes of the {part} rows")
        two.add_argument(f"--paragon-{part}-features", type=Path, metavar="NPY", help=f"new* on the {part}")
        two.add_argument(f"--{part}-images", type=Path, metavar="FILE", help=f"images of the {part} rows")
    mapped = parser.add_argument_group("through a map of bctlib align")
    mapped.add_argument("--query-map", type=Path, metavar="MAP", help="that new queries go through on the old gallery")
    mapped.add_argument("--new-id", metavar="ID", help="of the new model (else the name of --query-features' file)")
    mapped.add_argument("--old-id", metavar="ID", help="of the old model (else the name of --gallery-features' file)")
    settings = parser.add_argument_group("settings")
    settings.add_argument("--groups", type=Path, metavar="CSV", help="class,group on each line: which groups get worse")
    add_points(settings, "far", "fpir", "ranks", otherwise="else the paper's that these data can carry")
    settings.add_argument("--resamples", type=_count, default=RESAMPLES, metavar="N", help="of identities (1000)")
    settings.add_argument("--orders", type=_count, metavar="N", help="random orders of the backfill (5 to 20, by size)")
    settings.add_argument("--seed", type=_seed, default=0, metavar="N", help="of resamples and orders (0)")
    return parser


def _seed(text: str) -> int:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"{text!r} is no number from 0 on")
    return int(text)


def _count(text: str) -> int:
    if not text.isdecimal() or int(text) < 2:
        raise argparse.ArgumentTypeError(f"{text!r} is no number from 2 on")
    return int(text)


if __name__ == "__main__":
    sys.exit(main())
