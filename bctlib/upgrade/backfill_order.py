"""Write in which order to backfill the items of an index: the command `bctlib backfill-order`.

from bctlib.upgrade.backfill_order import backfill_order
order = backfill_order("old.npy", labels="old.labels.txt").rows
"""

import argparse
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from bctlib.base.command import EXIT_STATUS, Parser, run_command
from bctlib.base.errors import BctError, UsageError
from bctlib.base.files import map_array, replace_atomically
from bctlib.base.text_lines import text_lines
from bctlib.upgrade.evaluate.inputs import (
    Features,
    FeatureSource,
    faults_named,
    of_one_kind,
    open_features,
    read_identities,
)
from bctlib.upgrade.serve.item_order import accuracy_along, area_under, item_order, item_searches

DESCRIPTION = f"""\
Writes OUT, the items of an index in the order in which to embed them anew, one on each line: row numbers from 0 on, or
the names of --items. Without --searches the least certain item comes first, the one that a stranger (an item of
another class in --labels, or any other item) comes nearest to by the old model; with --searches, a number on each line,
the item that is searched most, and among equals the least certain.

How good the order is, as one number, takes searches with known answers and the new vectors (--query-features,
--query-labels, --new-index and --labels): the area under the backfill curve is the mean accuracy on the way from no
backfill to a full one, rank 1 or TPIR at --fpir. A random order of the same items is measured beside it.
{EXIT_STATUS}"""
EXAMPLES = """\
examples:
  bctlib backfill-order --index old.npy --labels old.labels.txt --items old.paths.txt --out order.txt
  bctlib backfill-order --index old.npy --labels old.labels.txt --searches counts.txt --new-index new.npy \\
      --query-features new_q.npy --query-labels new_q.labels.txt --out order.txt
"""


@dataclass(frozen=True)
class BackfillOrder:
    """rows: int64 [n], the order. areas: under the backfill curve of this order and of a random one, 0 to 1; None where
    it was not measured. begin, end: accuracy before and after the backfill. metric: what the accuracy is."""

    rows: np.ndarray
    areas: tuple[float, float] | None = None
    begin: float | None = None
    end: float | None = None
    metric: str = ""

    def sentence(self) -> str:
        """The area as one number, with what it is to be compared with; empty where it was not measured."""
        if self.areas is None:
            return ""
        ours, random = (f"{100 * each:.2f} %" for each in self.areas)
        return (
            f"area under the backfill curve ({self.metric}): {ours}; in random order {random}; "
            f"{100 * self.begin:.2f} % without any backfill, {100 * self.end:.2f} % with all"
        )


def backfill_order(
    index: FeatureSource,
    labels: np.ndarray | str | Path | None = None,
    searches: np.ndarray | str | Path | None = None,
    *,
    new_index: FeatureSource | None = None,
    query_features: FeatureSource | None = None,
    query_labels: np.ndarray | str | Path | None = None,
    fpir: float | None = None,
    seed: int = 0,
) -> BackfillOrder:
    """The order, and its area where the last four are given.

    index [n, d_old]: the old model's vectors. labels [n]: class of each; None: each item is its own class. searches
    [n]: how often each is searched. new_index [n, d_new], query_features [q, d_new]: of the new model; query_labels
    [q]. fpir: measure TPIR there, else rank 1. seed: of the random order. Raises UsageError for arguments that do not
    go together and BctError naming file and line or row of what does not fit.
    """
    told = {"new_index": new_index, "query_features": query_features, "query_labels": query_labels}
    there = [name for name, value in told.items() if value is not None]
    if there and (len(there) < len(told) or labels is None):
        missing = [name for name, value in (told | {"labels": labels}).items() if value is None]
        raise UsageError(f"{missing[0]} is missing: the area under the curve takes {', '.join(told)} and labels")
    if (fpir is not None and not there) or seed < 0:
        raise UsageError("fpir is for the area under the curve, which takes query_features, and seed is 0 or more")
    stored = open_features("index", index)
    n = len(stored.array)
    names = np.arange(n) if labels is None else _of_rows("labels", labels, n)
    counts = None if searches is None else _counts(searches, n)
    with faults_named(stored):
        rows = item_order(stored.array, np.unique(names, return_inverse=True)[1].reshape(-1), counts)
    if not there:
        return BackfillOrder(rows)
    query = open_features("query_features", query_features)
    new = open_features("new_index", new_index, n, f"row of {stored.label}")
    wanted = _of_rows("query_labels", query_labels, len(query.array))
    return _with_area(rows, stored, new, query, *of_one_kind(wanted, names, ("query_labels", "labels")), fpir, seed)


def _with_area(
    rows: np.ndarray,
    stored: Features,
    new: Features,
    query: Features,
    wanted: np.ndarray,
    names: np.ndarray,
    fpir: float | None,
    seed: int,
) -> BackfillOrder:
    if query.array.shape[1] != new.array.shape[1] or stored.array.shape[1] > new.array.shape[1]:
        widths = [each.array.shape[1] for each in (stored, new, query)]
        raise BctError(
            f"index, new_index and query_features have {widths[0]}, {widths[1]} and {widths[2]} dimensions: expected "
            "the last two equal, and the first no wider"
        )
    mated = np.isin(wanted, names)
    if not mated.any() or (fpir is not None and mated.all()):
        said = "every query has a class of the index, and TPIR needs others" if mated.any() else "no query has one"
        raise BctError(f"query_labels: {said}; expected queries with a class of the index, and for TPIR without")
    codes = np.unique(np.concatenate([wanted, names]), return_inverse=True)[1].reshape(-1)
    of_query, of_item = codes[: len(wanted)], codes[len(wanted) :]
    curves = []
    with faults_named(stored, new, query):
        for order in (rows, np.random.default_rng(seed).permutation(len(rows))):
            found = item_searches(query.array, of_query, stored.array, new.array, of_item, order)
            curves.append(accuracy_along(found, fpir))
    areas = area_under(found.share, curves[0]), area_under(found.share, curves[1])
    metric = "rank 1" if fpir is None else f"TPIR@FPIR={fpir:g}"
    return BackfillOrder(rows, areas, float(curves[0][0]), float(curves[0][-1]), metric)


def _of_rows(name: str, source, n: int) -> np.ndarray:
    values, record = read_identities(name, source)
    if len(values) != n:
        raise BctError(f"{record['path'] or name} has {len(values):,} entries: expected {n:,}, one for each row")
    return values


def _counts(source, n: int) -> np.ndarray:
    """How often each item is searched, int64 [n]."""
    is_text = isinstance(source, str | Path) and Path(source).suffix != ".npy"
    label = str(source) if isinstance(source, str | Path) else "searches"
    if is_text:
        lines = [line.strip() for line in text_lines(source, "a number of searches on each line")]
        for number, line in enumerate(lines, 1):
            if not (line.isascii() and line.isdecimal() and len(line) < 19):
                raise BctError(f"{label}, line {number}: expected a number of searches from 0 on, found {line!r}")
        values = np.array(list(map(int, lines)), np.int64)
    else:
        values = np.asarray(map_array(Path(source)) if isinstance(source, str | Path) else source)
    if values.dtype.kind not in "iu" or values.shape != (n,) or (values < 0).any():
        raise BctError(f"{label} holds {values.dtype} {values.shape}: expected {n:,} numbers of searches from 0 on")
    return values


def main(argv: list[str] | None = None) -> int:
    """Run the command line and return the exit status. Errors are one sentence on stderr."""
    return run_command("bctlib backfill-order", lambda: _write(vars(_parser().parse_args(argv))))


def _write(options: dict) -> None:
    out, items = options.pop("out"), options.pop("items")
    if out.is_dir():
        raise UsageError(f"--out {out} is a folder: expected the name of a text file")
    names = None if items is None else list(text_lines(items, "the name of an item on each line"))
    found = backfill_order(**options)
    if names is not None and len(names) != len(found.rows):
        raise BctError(f"{items} has {len(names):,} lines: expected {len(found.rows):,}, one for each row of the index")
    text = "".join(f"{row if names is None else names[row]}\n" for row in found.rows)
    replace_atomically(out, lambda temporary: temporary.write_text(text, encoding="utf-8"))
    first = "least certain first" if options["searches"] is None else "most searched first"
    print(f"{len(found.rows):,} items, {first}, written to {out}")
    if found.areas is not None:
        print(found.sentence())


def _parser() -> argparse.ArgumentParser:
    parser = Parser(prog="bctlib backfill-order", description=DESCRIPTION, epilog=EXAMPLES)
    parser.add_argument("--index", type=Path, required=True, metavar="NPY", help="the old model's vectors, [n, d]")
    parser.add_argument("--out", type=Path, required=True, metavar="FILE", help="an item on each line")
    parser.add_argument("--labels", type=Path, metavar="FILE", help="the class of each row")
    parser.add_argument("--items", type=Path, metavar="FILE", help="the name of each row, e.g. INDEX.paths.txt")
    parser.add_argument("--searches", type=Path, metavar="FILE", help="how often each row is searched")
    area = parser.add_argument_group("area under the backfill curve")
    area.add_argument("--new-index", type=Path, metavar="NPY", help="the new model's vectors of the same items")
    area.add_argument("--query-features", type=Path, metavar="NPY", help="of the new model")
    area.add_argument("--query-labels", type=Path, metavar="FILE", help="the class of each query")
    area.add_argument("--fpir", type=_rate, metavar="RATE", help="measure TPIR there (else rank 1)")
    area.add_argument("--seed", type=int, default=0, metavar="N", help="of the random order (0)")
    return parser


def _rate(text: str) -> float:
    try:
        rate = float(text)
    except ValueError:
        rate = -1.0
    if not 0 <= rate <= 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no rate from 0 to 1")
    return rate


if __name__ == "__main__":
    sys.exit(main())
