"""The search for the desk recipe as a table: the candidates, best first (docs/recipe.md has its rules)."""

import pandas as pd

from companion.measure.recipe_search import CANDIDATES, CRITERION, MODELS, RATIO, TABLE
from companion.results import load_rows, readable_file

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
