"""Tables of the methods after the paper: beside the paper's own, and over the weight of what binds new to old."""

import pandas as pd
from scipy.stats import spearmanr

from companion.curves import AREA, SPEED, STANDARD
from companion.experiments import TableSpec
from companion.pairs import FOLLOW_UP_WEIGHTS, LATER_METHODS, LOWER_BOUND, METHODS_OF_THE_PAPER, PARAGON
from companion.tables.cells import DASH, HEADLINE, PROTOCOLS, Cell, MeasuredCells, View, compatible_text, power
from companion.tables.reading import outcomes
from companion.tables.tables import is_measured

TABLE, WEIGHTS, GRANDPARENTS = "followups", "followup_weights", "grandparents"
MODEL, MODEL_AND_HEAD, FEATURES = "old model", "old model and head", "old embeddings of the training images"
NEEDS = {
    "new-l2": MODEL, "new-lwf": MODEL_AND_HEAD, "new-bct": "old head", "new-bct-kd": MODEL_AND_HEAD,
    "new-bct-sys": "old head and embeddings of the training images", "new-lce": FEATURES, "new-mixbct": MODEL,
    "new-ract": MODEL, "new-oca": FEATURES, "new-advbct": MODEL,
}  # fmt: skip
"""What of the old model each training needs, beside images and labels; none needs it at query time."""


POINTS = {
    f"{name} {metric.partition('@')[2]}={power(HEADLINE[metric])}": (protocol, metric, HEADLINE[metric])
    for protocol, (name, metric) in PROTOCOLS.items()
}
"""The headline points as (protocol, metric, operating point), by the text of a column."""
_FIRST, _SECOND = POINTS


def measured(cells: MeasuredCells) -> list[str]:
    """The methods that have a cross accuracy at the first point; one whose training diverged has none."""
    return [name for name in NEEDS if (name, "old", *POINTS[_FIRST]) in cells]


def method_tables(spec: TableSpec, view: View) -> list[tuple[str, pd.DataFrame]]:
    """One (heading, table), a row per method. Raises as `View.cells`."""
    cells = view.cells(TABLE)
    third = view.of(GRANDPARENTS).cells(GRANDPARENTS) if is_measured(GRANDPARENTS, view.scale) else {}
    rows = {f"{model}, its own gallery": _own(cells, model) for model in (LOWER_BOUND[0], PARAGON[0])}
    for name in measured(cells):
        row = _own(cells, name)
        for text, at in POINTS.items():
            cross, old = cells[name, "old", *at], cells[*LOWER_BOUND, *at]
            row[f"cross {text}"] = f"{cross.text()} ({cross.minus(old).text(sign=True)})"
            row[f"Eq. 2, {text.split()[0]}"] = compatible_text(cross, old)
        area = cells.get((name, "old", STANDARD, AREA, ""))
        row["area"] = area.text() if area else DASH
        if (third_version(name), "phi1", *POINTS[_FIRST]) in third:
            row["grandparent"] = " / ".join(each.text(sign=True) for each in to_grandparent(third, third_version(name)))
        row["time"] = f"{relative_time(cells, name):.2f}"
        row["training needs"] = NEEDS[name]
        rows[view.name(name)] = row
    frame = pd.DataFrame.from_dict(rows, orient="index").fillna(DASH).rename_axis("method")
    heading = (
        f"{spec.heading}; in brackets the difference to (old, old); grandparent: difference to (phi1, phi1), "
        "1:1 / 1:N; time: of training, beside new*"
    )
    return [(heading, frame)]


def _own(cells: MeasuredCells, name: str) -> dict[str, str]:
    return {f"own {text}": cells[name, name, *at].text() for text, at in POINTS.items()}


def relative_time(cells: MeasuredCells, name: str) -> float:
    """Seconds of a training step of the method beside one of independent training."""
    own, alone = (cells[each, each, "training", SPEED, ""] for each in (name, PARAGON[0]))
    return alone.mean / own.mean


def weight_tables(spec: TableSpec, view: View) -> list[tuple[str, pd.DataFrame]]:
    """One (heading, table), a row per method and weight. Raises as `View.cells`."""
    cells, chosen, rows = view.cells(WEIGHTS), choices(view), {}
    for name, gallery in FOLLOW_UP_WEIGHTS:
        if gallery == "old" or (name, name, *POINTS[_FIRST]) not in cells:
            continue
        row = {"own on validation identities": f"{own_on_validation(cells, name):.1f}"}
        row |= {f"own {text}": cells[name, name, *at].text() for text, at in POINTS.items()}
        row |= {f"cross {text}": cells[name, "old", *at].text() for text, at in POINTS.items()}
        plain, _, lam = name.partition("@")
        rows[f"{plain}, weight {lam or 1}"] = row | {"chosen": "yes" if chosen[plain] == name else ""}
    return [(spec.heading, pd.DataFrame.from_dict(rows, orient="index").rename_axis("method"))]


def third_version(name: str) -> str:
    """The chain's third version by the method of a model of Table 1: `phi3` by BCT, `phi3-lce`."""
    return name.replace("new-bct", "phi3").replace("new", "phi3")


def to_grandparent(cells: MeasuredCells, name: str, older: str = "phi1") -> list[Cell]:
    """M(third version, older) less M(older, older) at the headline points, paired by seed."""
    return [cells[name, older, *at].minus(cells[older, older, *at]) for at in POINTS.values()]


def grandparent_tables(spec: TableSpec, view: View) -> list[tuple[str, pd.DataFrame]]:
    """One (heading, table), a row per method. Raises as `View.cells`."""
    cells, rows = view.cells(GRANDPARENTS), {}
    for name in third_versions(cells):
        rows[name] = {}
        for older in ("phi2", "phi1"):
            for text, at in POINTS.items():
                cross, alone = cells[name, older, *at], cells[older, older, *at]
                rows[name][f"({older}) {text}"] = f"{cross.text()} ({cross.minus(alone).text(sign=True)})"
                rows[name][f"({older}) Eq. 2, {text.split()[0]}"] = compatible_text(cross, alone)
    return [(spec.heading, pd.DataFrame.from_dict(rows, orient="index").rename_axis("method"))]


def third_versions(cells: MeasuredCells) -> list[str]:
    """The third versions that have an accuracy against the first."""
    names = dict.fromkeys(map(third_version, NEEDS))
    return [name for name in names if (name, "phi1", *POINTS[_FIRST]) in cells]


def grandparent_predictions(view: View) -> str:
    """What became of the predictions about third versions, as lines of Markdown, by the means over seeds."""
    cells = view.cells(GRANDPARENTS)
    old, first = ({n: to_grandparent(cells, n, older) for n in third_versions(cells)} for older in ("phi2", "phi1"))
    passed = [[name for name, each in version.items() if each[0].mean > 0] for version in (old, first)]
    correlation = spearmanr([each[0].mean for each in old.values()], [each[0].mean for each in first.values()])
    faded = [name for name in first if first[name][1].mean < old[name][1].mean]
    lines = (
        (
            set(passed[0]) <= set(passed[1]),
            f"at {_FIRST} above phi2: {', '.join(passed[0]) or 'none'}; above phi1: {', '.join(passed[1]) or 'none'}",
        ),
        (
            correlation.statistic > 0.5,
            f"the rank correlation of the two differences over {len(first)} methods is {correlation.statistic:.2f}",
        ),
        (
            len(faded) > len(first) / 2,
            f"at {_SECOND} the difference is smaller against phi1 for {len(faded)} of {len(first)} methods",
        ),
    )
    return outcomes(lines)


def own_on_validation(cells: MeasuredCells, name: str) -> float:
    """Mean of a model's own accuracy at the headline points on validation identities."""
    found = [cells[name, name, f"{at[0]} (validation)", *at[1:]].mean for at in POINTS.values()]
    return sum(found) / len(found)


def choices(view: View) -> dict[str, str]:
    """Each method's model at the weight with the best own accuracy on validation identities."""
    cells, best = view.cells(WEIGHTS), {}
    for plain in LATER_METHODS:
        names = [name for name, gallery in FOLLOW_UP_WEIGHTS if gallery == name and name.partition("@")[0] == plain]
        there = [name for name in names if (name, name, *POINTS[_FIRST]) in cells]
        if there:
            best[plain] = max(there, key=lambda name: own_on_validation(cells, name))
    return best


def readings(view: View) -> str:
    """What the methods bring against the old gallery and cost, paired by seed, as lines of Markdown."""
    cells = view.cells(TABLE)
    passed, lines = _passing(cells), []
    for text in POINTS:
        lines.append(f"Eq. 2 at {text} holds in the mean over seeds for: {', '.join(passed[text]) or 'none'}")
    for name in (each for each in measured(cells) if each not in METHODS_OF_THE_PAPER):
        parts = [
            f"{cells[name, 'old', *at].minus(cells['new-bct', 'old', *at]).text(sign=True)} at {text}"
            for text, at in POINTS.items()
        ]
        own = [
            f"{cells[name, name, *at].minus(cells[*PARAGON, *at]).text(sign=True)} at {text}"
            for text, at in POINTS.items()
        ]
        lines.append(
            f"{name} against new-bct in the old gallery: {', '.join(parts)}; own against new\\*: {', '.join(own)}"
        )
    return "\n".join(f"* {line}." for line in lines)


def _passing(cells: MeasuredCells) -> dict[str, list[str]]:
    """At each point the methods whose mean is above (old, old)."""
    return {
        text: [name for name in measured(cells) if cells[name, "old", *at].minus(cells[*LOWER_BOUND, *at]).mean > 0]
        for text, at in POINTS.items()
    }


def predictions(view: View) -> str:
    """What became of the predictions of notebook 09, as lines of Markdown, by the means over seeds."""
    cells = view.cells(TABLE)
    passed, names = _passing(cells), measured(cells)
    own = {name: cells[name, name, *POINTS[_FIRST]].mean for name in (*names, PARAGON[0])}
    over_sys = [
        name for name in names
        if name in LATER_METHODS
        and all((d := cells[name, "old", *at].minus(cells["new-bct-sys", "old", *at])).mean > d.half_width
                for at in POINTS.values())
    ]  # fmt: skip
    expected = ("new-ract", "new-oca", "new-advbct")
    lines = (
        (
            all(name in passed[_FIRST] for name in expected if name in names) and "new-mixbct" not in passed[_FIRST],
            f"at {_FIRST} those above the old model are {', '.join(passed[_FIRST]) or 'none'}",
        ),
        (not over_sys, f"ahead of new-bct-sys beyond the interval at both points: {', '.join(over_sys) or 'none'}"),
        (
            max(own, key=own.get) == "new-oca",
            f"the best own accuracy at {_FIRST} has {max(own, key=own.get)} ({max(own.values()):.1f})",
        ),
        (
            _highest_area(cells, names) == max(names, key=lambda name: cells[name, "old", *POINTS[_SECOND]].mean),
            f"the largest area under the backfill curve has {_highest_area(cells, names)}",
        ),
    )
    return outcomes(lines)


def _highest_area(cells: MeasuredCells, names: list[str]) -> str:
    there = [name for name in names if (name, "old", STANDARD, AREA, "") in cells]
    return max(there, key=lambda name: cells[name, "old", STANDARD, AREA, ""].mean) if there else DASH
