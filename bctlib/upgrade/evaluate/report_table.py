"""A report as text: one line for each accuracy, per cent, with what stands behind it beside it."""

from bctlib.upgrade.evaluate.result import Measurement, Report

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
    text = 2 if len(rows[0]) == 8 else 1  # the leading columns of words
    lines = []
    for row in rows:
        padded = [c.ljust(w) if i < text else c.rjust(w) for i, (c, w) in enumerate(zip(row, widths, strict=True))]
        lines.append("  ".join(padded).rstrip())
    return lines
