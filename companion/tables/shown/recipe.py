"""The search for the desk recipe as a table, best candidate first; what became of the predictions (docs/recipe.md)."""

import pandas as pd

from bctlib.base.errors import BctError
from companion.measure.diagnostics import DIAGNOSTICS, EMBEDDING, RATIO
from companion.measure.recipe_search import CANDIDATES, CRITERION, MODELS, TABLE
from companion.results import load_rows, readable_file
from companion.tables.cells import DESK, number
from companion.tables.reading import Reading
from companion.tables.tables import markdown

_FURTHER = 3
"""Candidates that a second seed decides between."""


def recipe_scores() -> pd.DataFrame:
    """Mean own accuracy at the strict points, in per cent: a row per candidate, a column per seed, and their mean.

    Best first: by the mean over all seeds, those of every seed before those of the first only. Raises BctError where
    no search has run.
    """
    rows = load_rows("desk", TABLE)
    strict = [CRITERION.get(row.metric) == row.operating_point for row in rows.itertuples()]
    scores = rows[strict].groupby(["method", "seed"])["value"].mean().unstack("seed")
    scores["mean"] = scores.mean(axis=1)
    seeds = scores.drop(columns="mean").notna().sum(axis=1)
    order = scores.assign(seeds=seeds).sort_values(["seeds", "mean"], ascending=False).index
    return scores.loc[order]


def next_runs() -> list[tuple[str, int]]:
    """(candidate, seed) that the rules still ask for: seed 0 of all, then seed 1 of the three best."""
    if readable_file("desk", TABLE) is None:
        return [(name, 0) for name in CANDIDATES]
    scores = recipe_scores()
    if missing := [(name, 0) for name in CANDIDATES if name not in scores.index or scores[0].isna()[name]]:
        return missing
    best = scores[0].sort_values(ascending=False).index[:_FURTHER]
    return [(name, 1) for name in best if 1 not in scores or scores[1].isna()[name]]


def recipe_table() -> pd.DataFrame:
    """A row per candidate, best first: its mean at each seed, each model's accuracies, participation ratio, seconds."""
    rows, scores = load_rows("desk", TABLE), recipe_scores()
    table = scores.rename(columns={seed: f"seed {seed}" for seed in scores.columns if seed != "mean"})
    at_zero = rows[rows["seed"] == 0]
    for model in MODELS:
        of_model = at_zero[at_zero["query_model"] == model].set_index("method")
        for metric, point in CRITERION.items():
            chosen = of_model[(of_model["metric"] == metric) & (of_model["operating_point"] == point)]
            table[f"{model} {metric}={point}"] = chosen["value"]
        table[f"{model} {RATIO}"] = of_model[of_model["metric"] == RATIO]["value"]
        table[f"{model} seconds"] = of_model.groupby(level=0)["seconds"].first()
    table.index.name = "candidate"
    return table.round(1)


def search_section() -> str:
    """The committed search as a table for a Markdown page, and the candidate it chose."""
    table, provenance = recipe_table(), load_rows("desk", TABLE)["device"].iloc[0]
    shown = table.map(number)
    return f"{markdown(shown)}\n\n*In per cent; validation identities; {provenance}.* Chosen: **{table.index[0]}**."


def predictions_section() -> str:
    """Each prediction with its outcome, as lines of Markdown; a prediction without results says so."""
    lines = []
    for place, outcome in enumerate((_both_points, _strictness, _own_cost, _directions), 1):
        try:
            lines.append(f"{place}. {outcome(Reading('table8 table2'))}")
        except BctError:
            lines.append(f"{place}. Not measured yet.")
    return "\n".join(lines)


_HEADLINE = ("1:1 1e-4", "1:N 1e-2")
_BCT = "new-bct, old"


def _both_points(read: Reading) -> str:
    gaps = [read.cell(_BCT, point).minus(read.cell("old, old", point)).values for point in _HEADLINE]
    kept = sum(min(both) > 0 for both in zip(*gaps, strict=True))
    of_five = "" if len(gaps[0]) == 5 else " (five were predicted about)"
    return (
        f"**{_became(5 * kept >= 4 * len(gaps[0]))}**: at both points in {kept} of {read.seeds}{of_five}; "
        f"1:1 {read.judged(_BCT, _HEADLINE[0])}, 1:N {read.judged(_BCT, _HEADLINE[1])}."
    )


def _strictness(read: Reading) -> str:
    points = {"1:1": ("1e-2", "1e-5"), "1:N": ("1e-1", "1e-3")}
    gains = {name: [read.gain(_BCT, f"{name} {at}") for at in pair] for name, pair in points.items()}
    texts = [f"{name} {loose:.0f} % to {strict:.0f} %" for name, (loose, strict) in gains.items()]
    came = all(strict >= loose for loose, strict in gains.values())
    return f"**{_became(came)}**: from the loose to the strict point {', '.join(texts)}."


def _own_cost(read: Reading) -> str:
    cells = [(read.cell("new-bct, new-bct", point), read.cell("new*, new*", point)) for point in _HEADLINE]
    texts = [f"{bct.text()} against {best.text()}" for bct, best in cells]
    came = all(bct.mean <= best.mean for bct, best in cells)
    return f"**{_became(came)}**: 1:1 {texts[0]}, 1:N {texts[1]}."


def _directions(_: Reading) -> str:
    cell = DESK.cells(DIAGNOSTICS)["old", "old", EMBEDDING, RATIO, ""]
    return f"**{_became(cell.mean > 35)}**: {cell.text()} of 128."


def _became(came: bool) -> str:
    return "came true" if came else "did not come true"
