"""Tidy results: `results/<scale>/<table>.csv`, one row per measurement, merged by key and never edited by hand.

Columns: table, scale, seed, method, query_model, gallery_model, protocol, metric, operating_point, value, n_behind
(impostor pairs or non-mated probes behind the operating point), device, versions, commit, seconds.
"""

import csv
import io
import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pandas as pd
from filelock import FileLock
from scipy.special import stdtrit

from bctlib.base import progress
from bctlib.base.errors import BctError
from bctlib.base.files import replace_atomically
from bctlib.base.locations import PROJECT, results_dir
from bctlib.base.provenance import provenance
from bctlib.base.text_lines import rows_of_text
from bctlib.training.scales import check_scale
from companion.experiments import made_by

__all__ = [
    "COLUMNS", "DISTINCT", "KEY", "load_rows", "mean_and_half_width", "point_text", "provenance", "readable_file",
    "results_file", "rows_of", "save_rows", "summarise",
]  # fmt: skip

COLUMNS = {
    "table": str,
    "scale": str,
    "seed": int,
    "method": str,
    "query_model": str,
    "gallery_model": str,
    "protocol": str,
    "metric": str,
    "operating_point": str,
    "value": float,
    "n_behind": int,
    "device": str,
    "versions": str,
    "commit": str,
    "seconds": float,
}
MEASURED = ("value", "n_behind", "versions", "commit", "seconds")
KEY = [name for name in COLUMNS if name not in MEASURED]
GROUP = [name for name in KEY if name not in ("seed", "device")]
PRECISIONS = ("bfloat16", "float32")
MAY_BE_EMPTY = ("operating_point",)  # mean average precision has none

DISTINCT = " (no look-alikes)"
"""Suffix of a protocol's name for measurements without identities that look almost like another."""

Row = dict[str, str | int | float]


def results_file(scale: str, table: str) -> Path:
    """The CSV file that holds this table at this scale."""
    return results_dir() / check_scale(scale) / f"{table}.csv"


def readable_file(scale: str, table: str) -> Path | None:
    """The file to read the table from: in the results folder, else (`BCT_RESULTS` is set) in the committed results."""
    committed = PROJECT / "results" / check_scale(scale) / f"{table}.csv"
    return next((path for path in (results_file(scale, table), committed) if path.exists()), None)


def point_text(point: float | str) -> str:
    """An operating point as the file writes it: 1e-4 and "1e-4" both become "0.0001", no point is ""."""
    try:
        return f"{float(point):.6g}"
    except ValueError:
        return str(point)


def save_rows(rows: pd.DataFrame | Iterable[Mapping], scale: str, table: str) -> Path:
    """Merge measurements into the table's file: a row with the same key replaces the old one.

    `table` and `scale` may be missing in the rows; numbers keep 6 significant digits. A re-measured row with the same
    numbers and the same versions keeps its old commit and seconds, so that two versions of the file differ only if
    results differ. Several processes can save at the same time, and the file is never half-written. Raises BctError
    for a missing or unknown column, a wrong type or another scale or table, and if the folder cannot be written.
    """
    path = results_file(scale, table)
    records = rows.to_dict("records") if isinstance(rows, pd.DataFrame) else list(rows)
    new = [
        _checked({"table": table, "scale": scale, **record}, scale, table, f"row {number} to be saved in {path.name}")
        for number, record in enumerate(records, 1)
    ]
    with _alone_with(path):
        merged = {_key(row): row for row in (_read(path, scale, table) if path.exists() else [])}
        for row in new:
            old = merged.get(_key(row))
            if old is None or not _says_the_same(old, row):
                merged[_key(row)] = row
        _write(path, sorted(merged.values(), key=_order))
    return path


@contextmanager
def _alone_with(path: Path) -> Iterator[None]:
    lock = FileLock(path.with_name(f".{path.stem}.lock"))
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock.acquire()
    except OSError as error:
        raise BctError(f"cannot write into the results {path.parent}: {error.strerror}") from error
    try:
        yield
    finally:
        lock.release()


def load_rows(scale: str, table: str, device: str | None = None) -> pd.DataFrame:
    """The measurements of one table at one scale, of seeds that may share a mean.

    device: the exact text of the device column, or what `arithmetic` returns; None chooses the arithmetic with the most
    seeds, and a message names its devices if the file has several. A seed's rows are those of the device that has most
    of them; what it lacks is taken from others, because a store may hold models that were trained on several (a run
    started on a GPU and finished without one). The device column then names all. Types: seed, n_behind int64; value,
    seconds float64; the others str (`operating_point` too, as `point_text` writes it). Raises BctError naming file and
    line for a damaged file, or if nothing was measured.
    """
    path = readable_file(scale, table)
    if path is None:
        missing = results_file(scale, table)
        raise BctError(f"no results in {missing}: run `./reproduce.sh {made_by(table)} --scale {scale}` first")
    records = _read(path, scale, table)
    seeds: dict[str, set] = {}
    for row in records:
        for name in {row["device"], arithmetic(row["device"])}:
            seeds.setdefault(name, set()).add(row["seed"])
    chosen = device
    if device is None:
        if not seeds:
            raise BctError(f"{path} holds no rows: run `./reproduce.sh {made_by(table)} --scale {scale}` first")
        chosen = max(sorted({arithmetic(row["device"]) for row in records}), key=lambda name: len(seeds[name]))
    elif device not in seeds:
        known = "; ".join(sorted({row["device"] for row in records}))
        raise BctError(f"{path} has no rows of device {device!r}, only of: {known}")
    rows = _completed(records, chosen, seeds[chosen])
    kinds = {arithmetic(row["device"]) for row in records}
    if device is None and len(kinds) > 1:
        progress.say(f"{path.name} ({scale}) was measured on {len(kinds)} kinds of device; showing {rows[0]['device']}")
    return _frame(rows)


def rows_of(scale: str, table: str, device: str) -> pd.DataFrame:
    """The rows whose arithmetic is that of `device` (a device's text), of every seed; types as `load_rows` says.

    Nothing is taken from other devices: empty where there are none. A row that several devices had a part in counts
    for each of them. Raises BctError naming file and line for a damaged file.
    """
    path = readable_file(scale, table)
    rows = _read(path, scale, table) if path else []
    return _frame([row for row in rows if arithmetic(device) in map(arithmetic, str(row["device"]).split(" then "))])


def arithmetic(device: str) -> str:
    """What numbers must have in common to share a mean: `cpu, bfloat16` of any processor, or the text of a GPU.

    device: as the column has it. Processors differ in the order of sums alone, precisions in the accuracy that a
    training reaches.
    """
    kind, _, precision = device.rpartition(", ")
    if not device.startswith("cpu"):
        return device
    return f"cpu, {precision}" if kind and precision in PRECISIONS else "cpu"


def _completed(records: list[Row], device: str, seeds: set[int]) -> list[Row]:
    """The rows of these seeds: the device's where it has them, then those of the device with most rows of the seed."""
    counts = Counter((row["seed"], row["device"]) for row in records)

    def preference(row: Row) -> tuple:
        return (row["device"] == device, arithmetic(row["device"]) == device, counts[row["seed"], row["device"]])

    best: dict[tuple, Row] = {}
    for row in (row for row in records if row["seed"] in seeds):
        quantity = (row["seed"], *(row[name] for name in GROUP))
        if quantity not in best or preference(row) > preference(best[quantity]):
            best[quantity] = row
    origin = " and ".join(sorted({row["device"] for row in best.values()}))
    return [row | {"device": origin} for row in best.values()]


def mean_and_half_width(values: Sequence[float]) -> tuple[float, float]:
    """Mean, and half the width of its 95 % interval by Student's t (NaN for a single value)."""
    values, n = np.asarray(values, float), len(values)
    half = float(stdtrit(n - 1, 0.975) * values.std(ddof=1) / math.sqrt(n)) if n > 1 else math.nan
    return float(values.mean()), half


def summarise(rows: pd.DataFrame) -> pd.DataFrame:
    """Mean over seeds with a 95 % interval (Student's t), one row per measured quantity in order of appearance.

    Columns: those of the key without seed and device; mean, low, high, half_width (NaN for one seed), n_seeds,
    seeds and values (tuples in the order of seeds). Raises BctError for rows of several scales or devices.
    """
    for name in ("scale", "device"):
        if name in rows and rows[name].nunique() > 1:
            raise BctError(f"rows of several {name}s cannot share one mean: {', '.join(sorted(rows[name].unique()))}")
    summaries = []
    for key, group in rows.groupby(GROUP, sort=False, dropna=False):
        group = group.sort_values("seed")
        values = group["value"].to_numpy(float)
        mean, half = mean_and_half_width(values)
        statistics = {"mean": mean, "low": mean - half, "high": mean + half, "half_width": half, "n_seeds": len(values)}
        tuples = {"seeds": tuple(map(int, group["seed"])), "values": tuple(map(float, values))}
        summaries.append(dict(zip(GROUP, key, strict=True)) | statistics | tuples)
    columns = [*GROUP, "mean", "low", "high", "half_width", "n_seeds", "seeds", "values"]
    return pd.DataFrame(summaries, columns=columns)


def _checked(record: Mapping, scale: str, table: str, where: str) -> Row:
    """The row with the file's types and precision. Raises BctError with a message that starts with `where`."""
    missing = [name for name in COLUMNS if name not in record]
    unknown = [name for name in record if name not in COLUMNS]
    if missing or unknown:
        faults = [f"lacks the column {name}" for name in missing] + [f"has an unknown column {n!r}" for n in unknown]
        raise BctError(f"{where} {' and '.join(faults)}")
    row = {name: _typed(record[name], name, kind, where) for name, kind in COLUMNS.items()}
    for name, expected in (("scale", scale), ("table", table)):
        if row[name] != expected:
            raise BctError(f"{where} has {name} {row[name]!r}, expected {expected!r}: one file holds one {name}")
    return row


def _typed(value, name: str, kind: type, where: str) -> str | int | float:
    if name == "operating_point":
        value = "" if value is None or value != value else point_text(value)
    expected = {str: "text without line breaks", int: "a whole number, not negative", float: "a finite number or nan"}
    try:
        if kind is str:
            if not isinstance(value, str) or (not value and name not in MAY_BE_EMPTY) or len(value.splitlines()) > 1:
                raise ValueError
            return value
        if kind is int:
            whole = int(value)
            if not 0 <= whole < 2**63 or whole != float(value):
                raise ValueError
            return whole
        number = float(f"{float(value):.6g}")
        if math.isinf(number):
            raise ValueError
        return number
    except (TypeError, ValueError, OverflowError):
        raise BctError(f"{where} has {value!r} in the column {name}, expected {expected[kind]}") from None


def _read(path: Path, scale: str, table: str) -> list[Row]:
    reader = csv.reader(rows_of_text(path), strict=True)
    try:
        header = next(reader, [])
        if header != list(COLUMNS):
            columns = ",".join(COLUMNS)
            raise BctError(f"{path}, line 1: expected the columns {columns}; move it away to have a new one made")
        rows: list[Row] = []
        for cells in reader:
            where = f"{path}, line {reader.line_num}:"
            if len(cells) != len(header):
                raise BctError(f"{where} has {len(cells)} cells, expected {len(header)}")
            rows.append(_checked(dict(zip(header, cells, strict=True)), scale, table, where))
    except csv.Error as error:
        raise BctError(f"{path}, line {reader.line_num}: is not CSV ({error})") from None
    return rows


def _write(path: Path, rows: list[Row]) -> None:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    writer.writerows([f"{cell:.6g}" if isinstance(cell, float) else cell for cell in row.values()] for row in rows)
    replace_atomically(path, lambda temporary: temporary.write_text(text.getvalue(), encoding="utf-8", newline=""))


def _key(row: Row) -> tuple:
    return tuple(row[name] for name in KEY)


def _says_the_same(old: Row, new: Row) -> bool:
    same_value = old["value"] == new["value"] or (math.isnan(old["value"]) and math.isnan(new["value"]))
    same = same_value and all(old[name] == new[name] for name in ("n_behind", "versions"))
    return same and not str(old["commit"]).endswith("-dirty")


def _order(row: Row) -> tuple:
    """Sort by seed first, so that the rows of a new seed stay together; operating points by size."""
    point = str(row["operating_point"])
    try:
        size = float(point)
    except ValueError:
        size = -math.inf
    names = [row[name] for name in ("method", "query_model", "gallery_model", "protocol", "metric")]
    return (row["device"], row["seed"], *names, size, point)


def _frame(rows: list[Row]) -> pd.DataFrame:
    types = {str: str, int: np.int64, float: np.float64}
    frame = pd.DataFrame(rows, columns=list(COLUMNS))
    return frame.astype({name: types[kind] for name, kind in COLUMNS.items()})
