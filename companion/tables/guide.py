"""Which method for whom, as a table for docs/which-method.md: what it brings here over the old model, from results.

Every row of ADVICE names its source; a row without results says so, as rows of trained follow-ups do until
their training has run.
"""

from dataclasses import dataclass

from bctlib.base.errors import BctError
from bctlib.methods import METHODS
from bctlib.models import AFTER_THE_PAPER, FOLLOW_UPS, ModelSpec, find_model
from companion.curves import STRICT
from companion.measure.mapped.every_map import mapped
from companion.pairs import LOWER_BOUND, PARAGON, Pair
from companion.tables import tables
from companion.tables.cells import DESK, Cell, View
from companion.tables.shown import merging
from companion.tables.shown.maps import POINTS

MISSING = "not measured yet"
ALONE: Pair = ("new*", "old")


@dataclass(frozen=True)
class Advice:
    """A row of the guide.

    have: what the reader has. use: what to do. tables: where the accuracies of `pair` are, the first table that has
    them; suffix: of its protocols, for mapped queries. base: the pair that it is compared with. costs, command: in
    words; `{time}` stands for the method's training time.
    """

    have: str
    use: str
    pair: Pair
    costs: str
    command: str
    tables: tuple[str, ...] = ("table8", "table1")
    suffix: str = ""
    base: Pair = LOWER_BOUND

    @property
    def cost_text(self) -> str:
        cost = METHODS[find_model(self.pair[0]).method].cost
        return self.costs.format(time="as long as" if cost == 1 else f"{cost:.2g} times as long as")


_TRAINED = "training takes {time} an independent one; own accuracy: second table"
_ONCE = "a matrix product per query"
_BOTH = "two embeddings per query, as long as old vectors are there"
_TRAIN = "`bctlib train --data photos --old v1.safetensors"
_FILTER = "`bctlib align --kind span-filter --head head.npy"
_ALIGN = "`bctlib align --new v2.npy --old v1.npy"

ADVICE = (
    Advice(
        "a trainable new model, labelled images, the old classifier and the old model", "BCT on every image (sys)",
        ("new-bct-sys", "old"), _TRAINED, f"{_TRAIN} --out v2.safetensors`",
    ),
    Advice(
        "the same without the old model: its classifier alone, or old features with labels",
        "BCT on the old classes' images", ("new-bct", "old"), _TRAINED,
        "`bctlib train --data photos --old old.npy --old-labels labels.txt --method bct --out v2.safetensors`",
    ),
    Advice(
        "the same with the old model, whose outputs on new images are to be kept", "BCT with distillation (kd)",
        ("new-bct-kd", "old"), _TRAINED, f"{_TRAIN} --method bct-kd --out v2.safetensors`",
    ),
    Advice(
        "two frozen models, and images to embed with both", "a ridge map, without training", ALONE, _ONCE,
        f"{_ALIGN} --out map.safetensors`", ("maps",), mapped("ridge"),
    ),
    Advice(
        "the same", "a map of low rank", ALONE, _ONCE, f"{_ALIGN} --kind low-rank --out map.safetensors`", ("maps",),
        mapped("low-rank"),
    ),
    Advice(
        "two frozen models, both on every query", "midpoint of the mapped and the old query", ALONE, _BOTH,
        f"{_ALIGN} --kind midpoint --out map.safetensors`", ("maps",), mapped("midpoint"),
    ),
    Advice(
        "a compatible model, and images to embed with both", "a ridge map on top (against the model as it is)",
        ("new-bct", "old"), _ONCE, f"{_ALIGN} --out map.safetensors`", ("maps",), mapped("ridge"), ("new-bct", "old"),
    ),
    Advice(
        "a compatible model and the old classifier, no images", "the span filter (against the model as it is)",
        ("new-bct", "old"), _ONCE, f"{_FILTER} --strength 1 --new-id v2 --old-id v1 --out map.safetensors`",
        ("maps",), mapped("span-filter"), ("new-bct", "old"),
    ),
    Advice(
        "the gallery's images, and time to embed all again", "a full backfill (dual write until it is done)", PARAGON,
        "every gallery image embedded again, and a second index", "[live upgrade](live-upgrade.md)",
    ),
)  # fmt: skip
"""By what the reader has; trained follow-ups are added from `bctlib.models`."""


def advice() -> tuple[Advice, ...]:
    """ADVICE, and after the paper's methods a row for each follow-up."""
    followed = tuple(
        Advice(
            "as for BCT (notebook 09 says what each needs)", f"the follow-up {spec.method}", (spec.name, "old"),
            _TRAINED, f"{_TRAIN} --method {spec.method}{_width(spec)} --out v2.safetensors`",
            ("followups", "table8", "table1"),
        )
        for spec in (*FOLLOW_UPS, *AFTER_THE_PAPER)
    )  # fmt: skip
    return ADVICE[:3] + followed + ADVICE[3:]


def _width(spec: ModelSpec) -> str:
    """The option of `bctlib train` for an embedding that is wider than the old model's, which is its default."""
    return f" --dim {spec.dim}" if spec.dim != find_model(spec.old).dim else ""


def gain_over(row: Advice, point: str, view: View = DESK) -> Cell | None:
    """Accuracy of the row at a point of POINTS less that of its base, paired by seed; None if it was not measured."""
    protocol, metric, at = POINTS[point]
    for table in row.tables:
        try:
            cells = view.cells(table)
            return cells[*row.pair, protocol + row.suffix, metric, at].minus(cells[*row.base, protocol, metric, at])
        except BctError:
            continue
    return None


def _text(cell: Cell | None) -> str:
    return MISSING if cell is None else cell.text(sign=True).replace("-", "−")


def guide_section() -> str:
    """The first table: a line per row of `advice`, with the gain at each of POINTS."""
    head = ["you have", "use", *(f"{point}, points" for point in POINTS), "it costs", "command"]
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    for row in advice():
        found = [gain_over(row, point) for point in POINTS]
        lines.append("| " + " | ".join([row.have, row.use, *map(_text, found), row.cost_text, row.command]) + " |")
    return "\n".join(lines)


def own_section() -> str:
    """The second table: what compatible training costs the new model's own accuracy, against the independent one."""
    head = ["trained with", "1:1 FAR=1e-4, points", "1:N FPIR=1e-2, points"]
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    for row in advice():
        if find_model(row.pair[0]).old and row.base == LOWER_BOUND:
            own = (row.pair[0], row.pair[0])
            as_row = Advice("", "", own, "", "", ("table2", "followups"), base=PARAGON)
            found = [gain_over(as_row, point) for point in list(POINTS)[:2]]
            lines.append("| " + " | ".join([row.use, *map(_text, found)]) + " |")
    return "\n".join(lines)


def backfill_section() -> str:
    """The third table: practices while the gallery is backfilled, at the strict point."""
    try:
        table = merging.practice_table(DESK, STRICT)
    except BctError:
        return f"Practices of a backfill: {MISSING}."
    return tables.markdown(table)


def seeds_section() -> str:
    """How many seeds are behind the tables, and what else is to be known of the runs."""
    lines = []
    for table in ("table8", "maps", "merging"):
        try:
            lines.append(f"* `{table}`: {tables.provenance_text(table, DESK)}.")
        except BctError:
            lines.append(f"* `{table}`: {MISSING}.")
    return "\n".join(lines)
