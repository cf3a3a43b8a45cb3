"""The result of an evaluation: measurements, verdicts (Eqs. 2 and 9), curves and provenance, as text and JSON."""

import json
import math
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np

from bctlib.base.files import digest_of, replace_atomically
from bctlib.base.provenance import provenance
from bctlib.metrics.compatibility import absolute_gain, is_compatible, update_gain
from bctlib.upgrade.evaluate.inputs import Features

FEW = 10
"""With fewer false accepts than this, an operating point depends on chance."""


@dataclass(frozen=True)
class Measurement:
    """One accuracy of one pair of models; the first model extracts the query, the second the gallery.

    protocol: "1:1", "1:N" or "re-identification". metric: TAR, TPIR, rank, mAP, mAP (trapezoid), CMC. point: the FAR,
    FPIR or rank asked for; None for mAP. gallery: "G1", "G2", "mean", or "" where there is one gallery. value: 0 to 1.
    attained, n_false, n_negatives: false-accept rate reached, negatives accepted, and of how many (sums over the
    galleries for "mean"). threshold: cosine that an accepted score exceeds; None for a mean. n_positives: genuine
    pairs, mated searches, or valid queries.
    """

    query_model: str
    gallery_model: str
    protocol: str
    metric: str
    point: float | None
    gallery: str
    value: float
    n_positives: int
    attained: float | None = None
    n_false: int | None = None
    n_negatives: int | None = None
    threshold: float | None = None

    @property
    def quantity(self) -> tuple:
        """The measured quantity, without the models."""
        return self.protocol, self.metric, self.point, self.gallery


@dataclass(frozen=True)
class Verdict:
    """Eq. 2 for one quantity, and Eq. 9 where a paragon is known and Eq. 2 holds (else None: a dash, never below 0).

    new_old, old_old, paragon: 0 to 1. gain: absolute gain M(new, old) - M(old, old), None where Eq. 2 fails.
    """

    protocol: str
    metric: str
    point: float | None
    gallery: str
    new_old: float
    old_old: float
    compatible: bool
    gain: float | None
    paragon: float | None = None
    update_gain: float | None = None


@dataclass(frozen=True)
class BackfillCurve:
    """TPIR over the share of gallery subjects backfilled (Fig. 3): share [p], tpir [p, len(fpir)]."""

    fpir: list[float]
    share: list[float]
    tpir: list[list[float]]


@dataclass
class Report:
    """The outcome of one evaluation. curves: [{query_model, gallery_model, kind, x, y}] with kind 1:1, 1:N or CMC."""

    benchmark: str
    rule: str
    direction: str
    measurements: list[Measurement] = field(default_factory=list)
    verdicts: list[Verdict] = field(default_factory=list)
    backfill: BackfillCurve | None = None
    curves: list[dict] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    settings: dict = field(default_factory=dict)
    inputs: list[dict] = field(default_factory=list)
    seconds: dict[str, float] = field(default_factory=dict)
    features: list[Features] = field(default_factory=list, repr=False)

    def add_inputs(self, *given: Features | None) -> None:
        for features in given:
            if features is None:
                continue
            if not any(known.path == features.path is not None for known in self.features):
                self.notes += features.notes()
            self.features.append(features)

    def value(self, query_model: str, gallery_model: str, metric: str, point: float | None = None) -> float:
        """One accuracy (the mean where there are two galleries). Raises KeyError where it was not measured."""
        for row in self.measurements:
            names = (row.query_model, row.gallery_model, row.metric, row.point)
            if names == (query_model, gallery_model, metric, point) and row.gallery in ("", "mean"):
                return row.value
        raise KeyError(f"no {metric} at {point} of {query_model}/{gallery_model}")

    @contextmanager
    def timed(self, stage: str) -> Iterator[None]:
        """Add the seconds of the block to those of `stage`."""
        began = time.perf_counter()
        yield
        self.seconds[stage] = self.seconds.get(stage, 0.0) + time.perf_counter() - began

    def add_verdicts(self) -> None:
        """Fill verdicts from the measurements of new/old, old/old and new*/new*, and warn of thin evidence."""
        by_models: dict[tuple[str, str], dict[tuple, Measurement]] = {}
        for row in self.measurements:
            by_models.setdefault((row.query_model, row.gallery_model), {})[row.quantity] = row
        cross, old = by_models.get(("new", "old"), {}), by_models.get(("old", "old"), {})
        paragon = by_models.get(("new*", "new*"), {})
        for quantity, row in cross.items():
            if quantity in old:
                ceiling = paragon[quantity].value if quantity in paragon else None
                self.verdicts.append(_verdict(quantity, row.value, old[quantity].value, ceiling))
        thin: dict[tuple, list[int]] = {}
        for row in self.measurements:
            if row.n_false is not None and row.n_false < FEW and row.gallery != "mean":
                thin.setdefault(row.quantity, []).append(row.n_false)
        for (protocol, metric, point, gallery), counts in thin.items():
            where = f" in {gallery}" if gallery else ""
            self.warnings.append(
                f"{protocol} {metric} at {point:g}{where} is decided by fewer than {FEW} impostors "
                f"({' or '.join(map(str, sorted(set(counts))))} accepted)"
            )

    def table(self) -> str:
        """The report as text: accuracies with the counts behind them, verdicts, backfill, warnings."""
        return table_of(self)

    def as_dict(self) -> dict:
        """Plain types for JSON; feature files are read once for their digests."""
        paths = [features for features in self.features if features.path]
        with ThreadPoolExecutor(2) as pool:
            digests = dict(zip(map(id, paths), pool.map(lambda features: digest_of(features.path), paths), strict=True))
        given = [
            {
                "name": each.name, "path": str(each.path) if each.path else None, "sha256": digests.get(id(each)),
                "shape": list(each.array.shape), "dtype": str(each.array.dtype),
            }
            for each in self.features
        ]  # fmt: skip
        content = {
            "benchmark": self.benchmark, "rule": self.rule, "direction": self.direction, "settings": self.settings,
            "provenance": provenance(), "inputs": given + self.inputs, "seconds": self.seconds,
            "measurements": [asdict(row) for row in self.measurements],
            "verdicts": [asdict(row) for row in self.verdicts],
            "backfill": asdict(self.backfill) if self.backfill else None,
            "curves": self.curves, "notes": self.notes, "warnings": self.warnings,
        }  # fmt: skip
        return _plain(content)

    def save(self, folder: str | Path) -> Path:
        """Write `evaluation.json` into `folder` (created if missing); the file is complete or absent."""
        text = json.dumps(self.as_dict(), indent=1, allow_nan=False)
        path = Path(folder) / "evaluation.json"
        replace_atomically(path, lambda temporary: temporary.write_text(text + "\n", encoding="utf-8"))
        return path


def _verdict(quantity: tuple, new_old: float, old_old: float, paragon: float | None) -> Verdict:
    compatible = is_compatible(new_old, old_old)
    share = update_gain(new_old, old_old, paragon) if paragon is not None else math.nan
    return Verdict(
        *quantity,
        new_old,
        old_old,
        compatible,
        absolute_gain(new_old, old_old) if compatible else None,
        paragon,
        None if math.isnan(share) else share,
    )


def _plain(value):
    """Plain types; NaN and infinity become null, because JSON has neither."""
    if isinstance(value, dict):
        return {key: _plain(each) for key, each in value.items()}
    if isinstance(value, list | tuple | np.ndarray):
        return [_plain(each) for each in value]
    if isinstance(value, float | np.floating):
        return float(value) if math.isfinite(value) else None
    return value.item() if isinstance(value, np.generic) else value


TITLES = {
    "1:1": ("TAR", "FAR", "1:1 verification"),
    "1:N": ("TPIR", "FPIR", "1:N identification, open set"),
    "re-identification": ("", "", "re-identification"),
}


def table_of(report: Report) -> str:
    """The text that `Report.table` gives."""
    lines = [f"{report.benchmark}: {report.direction}; rule {report.rule}"]
    shown = [row for row in report.measurements if row.gallery in ("", "mean")]
    verdicts = {(v.protocol, v.metric, v.point, v.gallery): v for v in report.verdicts}
    for protocol in dict.fromkeys(row.protocol for row in shown):
        rows = [row for row in shown if row.protocol == protocol]
        lines += ["", TITLES[protocol][2]]
        cells = [("query/gallery", "measure", "%", "attained", "false accepts", "of", "Eq. 2", "gain")]
        for row in rows:
            is_cross = (row.query_model, row.gallery_model) == ("new", "old")
            cells.append(_cells(row, verdicts.get(row.quantity) if is_cross else None))
        lines += _aligned(cells)
    if report.backfill:
        lines += ["", "TPIR (%) while the gallery is backfilled, by share of its subjects", *_backfill(report)]
    if report.verdicts:
        passed = sum(verdict.compatible for verdict in report.verdicts if verdict.gallery in ("", "mean"))
        total = sum(verdict.gallery in ("", "mean") for verdict in report.verdicts)
        lines += ["", f"Eq. 2, M(new, old) > M(old, old), holds for {passed} of {total} measures"]
    lines += [f"note: {note}" for note in report.notes]
    lines += [f"warning: {warning}" for warning in report.warnings]
    return "\n".join(lines)


def _cells(row: Measurement, verdict) -> tuple[str, ...]:
    kept = {"TAR": "FAR", "TPIR": "FPIR"}
    if row.metric in kept:
        measure = f"{row.metric}@{kept[row.metric]}={row.point:g}"
    else:
        measure = f"{row.metric}-{row.point:g}" if row.point is not None else row.metric
    behind = ("", "", f"{row.n_positives:,}")
    if row.n_false is not None:
        behind = (f"{row.attained:.3g}", f"{row.n_false:,}", f"{row.n_negatives:,}")
    judged = ("", "")
    if verdict:
        judged = ("yes" if verdict.compatible else "no", "-")
        if verdict.update_gain is not None:
            judged = ("yes", f"{100 * verdict.update_gain:.2f} %")
        elif verdict.gain is not None:
            judged = ("yes", f"+{100 * verdict.gain:.2f}")
    return (f"{row.query_model}/{row.gallery_model}", measure, f"{100 * row.value:.2f}", *behind, *judged)


def _backfill(report: Report) -> list[str]:
    curve = report.backfill
    step = max(1, (len(curve.share) - 1) // 10)
    chosen = range(0, len(curve.share), step)
    rows = [("backfilled", *(f"{100 * curve.share[i]:.0f} %" for i in chosen))]
    for column, fpir in enumerate(curve.fpir):
        rows.append((f"FPIR={fpir:g}", *(f"{100 * curve.tpir[i][column]:.2f}" for i in chosen)))
    return _aligned(rows)


def _aligned(rows: list[tuple[str, ...]]) -> list[str]:
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    text = 2 if len(rows[0]) == 8 else 1  # the leading columns hold text
    lines = []
    for row in rows:
        padded = [c.ljust(w) if i < text else c.rjust(w) for i, (c, w) in enumerate(zip(row, widths, strict=True))]
        lines.append("  ".join(padded).rstrip())
    return lines
