"""The whole report: from features, labels and optional images of both models to the answer and its evidence."""

import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np

from bctlib.base import progress
from bctlib.metrics.blocks import BLOCK_ELEMENTS
from bctlib.upgrade.evaluate.inputs import faults_named
from bctlib.upgrade.evaluate.result import Report
from bctlib.upgrade.report.evidence.backfill import BackfillBand, affordable_orders, backfill_bands
from bctlib.upgrade.report.evidence.break_even import BreakEven, break_even, break_even_sentence
from bctlib.upgrade.report.evidence.changes import Change, telling_changes
from bctlib.upgrade.report.evidence.classes import ClassChange, class_changes, worse_sentence
from bctlib.upgrade.report.evidence.flips import Flips, flips
from bctlib.upgrade.report.evidence.groups import GroupChange, group_changes, groups_sentence
from bctlib.upgrade.report.evidence.scores import EDGES, ScoreHistogram, draw_pairs, histograms
from bctlib.upgrade.report.evidence.thresholds import NewThreshold, new_thresholds
from bctlib.upgrade.report.inputs import Inputs
from bctlib.upgrade.report.measured.measures import RULE as THRESHOLD_RULE
from bctlib.upgrade.report.measured.measures import Measured, Points, choose_points, draw_identities, measure
from bctlib.upgrade.report.measured.resampling import RESAMPLES, Interval, interval
from bctlib.upgrade.report.measured.searches import Searches, search_gallery
from bctlib.upgrade.report.thumbnails import thumbnail
from bctlib.upgrade.report.verdict import RULE, Answer, JudgedPoint, answer, judge_points, loss_sentence

SCHEMA = "bctlib.report/1"
ENOUGH_IDENTITIES = 30
PASSES, PASSES_OF_AN_ORDER, RESAMPLING_SECONDS = 7, 0.5, 1.0
"""For the time estimate: passes over all scores per pair of models and per backfill order, and fixed seconds."""


@dataclass
class Judgement:
    """The result; `as_dict` is the content of the JSON.

    evaluation: accuracies of all pairs of models, with inputs, notes and warnings. accuracies: the same with their
    intervals, in the order of evaluation.measurements. pictures: `data:` addresses by ("query" or "gallery", row).
    """

    answer: Answer
    points: list[JudgedPoint]
    evaluation: Report
    accuracies: list[Interval]
    counts: dict[str, int]
    one_list: bool
    backfill: list[BackfillBand] = field(default_factory=list)
    scores: list[ScoreHistogram] = field(default_factory=list)
    classes: list[ClassChange] = field(default_factory=list)
    changes: list[Change] = field(default_factory=list)
    flips: Flips | None = None
    query_map: dict | None = None
    break_even: list[BreakEven] = field(default_factory=list)
    thresholds: list[NewThreshold] = field(default_factory=list)
    groups: list[GroupChange] = field(default_factory=list)
    pictures: dict[tuple[str, int], str] = field(default_factory=dict)

    def as_dict(self) -> dict:
        """Plain types for JSON; pictures are only on the page."""
        evaluated = self.evaluation.as_dict()
        spreads = [{"low": each.low, "high": each.high} for each in self.accuracies]
        return {
            "schema": SCHEMA,
            "answer": asdict(self.answer) | {"rule": RULE},
            "form": "one list of images" if self.one_list else "queries and gallery",
            "counts": self.counts,
            "settings": evaluated["settings"],
            "points": [_flat(point) for point in self.points],
            "accuracies": [row | spread for row, spread in zip(evaluated["measurements"], spreads, strict=True)],
            "backfill": [asdict(each) for each in self.backfill],
            "scores": {"edges": [round(edge, 10) for edge in EDGES.tolist()], "rows": [asdict(s) for s in self.scores]},
            "classes": [asdict(each) for each in self.classes],
            "flips": self.flips.as_dict() if self.flips else None,
            "map": self.query_map and self.query_map | {"break_even": [asdict(each) for each in self.break_even]},
            "thresholds": [asdict(each) for each in self.thresholds],
            "groups": [each.as_dict() for each in self.groups],
            "changes": [asdict(each) for each in self.changes],
            "notes": evaluated["notes"], "warnings": evaluated["warnings"],
            "provenance": evaluated["provenance"], "inputs": evaluated["inputs"], "seconds": evaluated["seconds"],
        }  # fmt: skip


def judge(
    inputs: Inputs,
    far: Sequence[float] | None = None,
    fpir: Sequence[float] | None = None,
    ranks: Sequence[int] | None = None,
    resamples: int = RESAMPLES,
    orders: int | None = None,
    seed: int = 0,
    groups: tuple[list[str], np.ndarray] | None = None,
) -> Judgement:
    """Measure, bootstrap identities, decide and gather the evidence; arguments as for `report`.

    groups: as `codes_of_groups` gives them.
    """
    points = choose_points(inputs, far, fpir, ranks)
    orders = affordable_orders(inputs) if orders is None else orders
    evaluation = Report(
        "report", THRESHOLD_RULE, "the first model on the queries, the second on the gallery",
        settings={
            "far": points.far, "fpir": points.fpir, "ranks": points.ranks, "resamples": resamples,
            "orders": orders if inputs.sides.new_gallery is not None else 0, "seed": seed,
        },
        notes=[*points.notes, *_notes(inputs)], inputs=list(inputs.records),
    )  # fmt: skip
    evaluation.add_inputs(*inputs.given())
    _say_what_comes(inputs, orders)
    with faults_named(*inputs.given()):
        weights = draw_identities(inputs, resamples, seed)
        found, scores, searches = _measure_all(inputs, points, weights, seed, evaluation)
        with evaluation.timed("backfill"):
            bands = backfill_bands(inputs, points.fpir, orders, seed)
        with evaluation.timed("thresholds"):
            cuts = new_thresholds(found, points, inputs, seed)
    evaluation.add_verdicts()
    n_identities = len(np.unique(inputs.query_class[inputs.mated]))
    if n_identities < ENOUGH_IDENTITIES:
        evaluation.warnings.append(f"intervals over {n_identities} identities are rough: expected some hundred")
    judged = judge_points(found, points.deciding, n_identities)
    before, after = searches["old/old"], searches["new/old"]
    changes = telling_changes(before, after, inputs)
    accuracies = [
        interval(row.value, replicates)
        for each in found.values()
        for row, replicates in zip(each.rows, each.replicates, strict=True)
    ]
    by_class = class_changes(before, after, inputs)
    found_answer = answer(judged, n_identities)
    flipped = flips(before, after, inputs, weights)
    even = _break_even(inputs, bands, found["new/old"], after)
    found_answer.reasons.extend([flipped.sentence(), *loss_sentence(judged), *worse_sentence(by_class)])
    by_group = group_changes(before, after, inputs, *groups, weights) if groups else []
    found_answer.reasons.extend([*groups_sentence(by_group), *(each.sentence() for each in cuts)])
    if inputs.query_map is not None:
        found_answer.reasons.extend(break_even_sentence(even))
    return Judgement(
        found_answer, judged, evaluation, accuracies, _counts(inputs, n_identities), inputs.one_list,
        bands, scores, by_class, changes, flipped, inputs.query_map and inputs.query_map.as_dict(), even, cuts,
        by_group, _pictures(changes, inputs),
    )  # fmt: skip


def _measure_all(
    inputs: Inputs, points: Points, weights: np.ndarray, seed: int, evaluation: Report
) -> tuple[dict[str, Measured], list[ScoreHistogram], dict[str, Searches]]:
    """Measures and searches by "query model/gallery model", and score histograms; rows and notes go to `evaluation`."""
    drawn = draw_pairs(inputs, seed)
    found, scores, searches = {}, [], {}
    comparisons = inputs.comparisons()
    with progress.task("report", len(comparisons), unit="pair of models") as task:
        for number, comparison in enumerate(comparisons, 1):
            pair, note = comparison.of_one_width()
            evaluation.notes += [note] if note else []
            name = "/".join(pair.models)
            with evaluation.timed(name):
                searches[name] = search_gallery(pair, inputs)
                found[name] = measure(pair, searches[name], inputs, points, weights)
                evaluation.measurements += found[name].rows
                scores += histograms(pair, drawn)
            task.step(number, pair=name)
    return found, scores, searches


def _break_even(inputs: Inputs, bands: list[BackfillBand], mapped: Measured, searches: Searches) -> list[BreakEven]:
    """One for each measure of the backfill curve; empty without a map. mapped, searches: of new/old."""
    if inputs.query_map is None:
        return []
    levels = {(row.metric, row.point): row.value for row in mapped.rows}
    levels["rank", 1] = float((searches.rank[searches.mated] == 1).mean())
    return [break_even(band, levels[band.metric, band.point]) for band in bands]


def _say_what_comes(inputs: Inputs, orders: int) -> None:
    """Say what is searched and the estimated time, from one timed block of scores."""
    query, gallery = inputs.sides.query.array, inputs.sides.gallery.array
    d, n_models = gallery.shape[1], len(inputs.comparisons())
    rows = min(len(query), 1024)
    columns = min(len(gallery), BLOCK_ELEMENTS // 4 // rows)
    began = time.perf_counter()
    with np.errstate(all="ignore"):  # values that are not finite are reported later, with their file
        np.count_nonzero(np.asarray(query[:rows, :d], np.float32) @ np.asarray(gallery[:columns], np.float32).T > 0)
    scores = (time.perf_counter() - began) * len(query) / rows * len(gallery) / columns
    passes = n_models * PASSES + (orders * PASSES_OF_AN_ORDER if inputs.sides.new_gallery is not None else 0)
    seconds = scores * passes + n_models * RESAMPLING_SECONDS
    progress.say(
        f"{len(query):,} queries, {len(gallery):,} gallery images, {n_models} pairs of models: "
        f"about {progress.clock(seconds)}"
    )


def _notes(inputs: Inputs) -> list[str]:
    mapped = [inputs.query_map.note()] if inputs.query_map else []
    if inputs.mated.all():
        return mapped
    lonely = np.unique(inputs.query_class[~inputs.mated])
    n = int(np.count_nonzero(~inputs.mated))
    where = "have no other image" if inputs.one_list else "have no image in the gallery"
    said = f"{len(lonely):,} class{'es' if len(lonely) > 1 else ''} of the queries {where}"
    said = said.replace("have", "has") if len(lonely) == 1 else said
    return [
        *mapped,
        f"{said} ({_some(inputs.classes[lonely])}): {n:,} queries are non-mated searches, to be answered by nobody",
    ]


def _some(names: np.ndarray, shown: int = 3) -> str:
    return ", ".join(map(str, names[:shown])) + (", ..." if len(names) > shown else "")


def _counts(inputs: Inputs, n_identities: int) -> dict[str, int]:
    return {
        "queries": len(inputs.query_class), "gallery": len(inputs.gallery_class), "classes": len(inputs.classes),
        "mated_queries": int(np.count_nonzero(inputs.mated)),
        "nonmated_queries": int(np.count_nonzero(~inputs.mated)), "mated_classes": n_identities,
        "impostor_pairs": inputs.n_impostors,
    }  # fmt: skip


def _pictures(changes: list[Change], inputs: Inputs) -> dict[tuple[str, int], str]:
    wanted = {("query", change.query_row) for change in changes}
    wanted |= {
        ("gallery", row)
        for change in changes
        for each in (change.old, change.new)
        for row in (each.top_row, each.mate_row)
    }
    lists: dict[str, list[Path] | None] = {"query": inputs.query_images, "gallery": inputs.gallery_images}
    return {(kind, row): thumbnail(lists[kind][row]) for kind, row in sorted(wanted) if lists[kind] is not None}


def _flat(point: JudgedPoint) -> dict:
    """A tidy row: intervals as three columns each, losses by what they are lost against."""
    row = {"name": point.name, "protocol": point.protocol, "metric": point.metric, "point": point.point}
    row |= {"decides": point.decides, "eq2": point.eq2, "decision": point.decision, "saturated": point.saturated}
    lost = {f"lost_against_{loss.against}": loss.lost for loss in point.losses}
    spans = {"old_old": point.old_old, "new_old": point.new_old, "difference": point.difference}
    for name, span in (spans | {"update_gain": point.gain} | lost).items():
        values = span or (None, None, None)
        row |= dict(zip((name, f"{name}_low", f"{name}_high"), values, strict=True))
    return row | {"update_gain_against": point.gain_against}
