"""What an evaluation found: measurements, verdicts (Eqs. 2 and 9), curves, and where all of it comes from."""

import json
import math
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np

from bctlib.upgrade.evaluate.inputs import Features
from bctlib.base.files import digest_of, replace_atomically
from bctlib.metrics.compatibility import absolute_gain, is_compatible, update_gain
from bctlib.base.provenance import provenance

FEW = 10
"""Fewer false accepts than this decide an operating point by chance."""


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
        """What was measured, whichever models it was measured on."""
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

    def judge(self) -> None:
        """Fills verdicts from the measurements of new/old, old/old and new*/new*, and warns of thin evidence."""
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
        """Everything that people read: accuracies with what stands behind them, verdicts, backfill, warnings."""
        from bctlib.upgrade.evaluate.report_table import table_of

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
        """Write `evaluation.json` into `folder` (made where it is missing); the file is whole or absent."""
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
    """JSON has neither NaN nor infinity: both become null."""
    if isinstance(value, dict):
        return {key: _plain(each) for key, each in value.items()}
    if isinstance(value, list | tuple | np.ndarray):
        return [_plain(each) for each in value]
    if isinstance(value, float | np.floating):
        return float(value) if math.isfinite(value) else None
    return value.item() if isinstance(value, np.generic) else value
