"""Query and gallery items that differ: up to six feature files, two for each model, and the comparisons they allow."""

from collections.abc import Iterator
from dataclasses import dataclass, fields

from bctlib.base.errors import UsageError
from bctlib.upgrade.evaluate.comparisons import Comparison
from bctlib.upgrade.evaluate.inputs import Features, FeatureSource, open_features


@dataclass(frozen=True)
class Sides:
    """Features of the same query items and the same gallery items by up to three models: new, old, and new*.

    query and gallery alone give new/old, query alone new/new of one list of items. old_query adds old/old and with it
    the verdict (Eq. 2); new_gallery adds new/new; both paragon ones add new*/new* and the update gain (Eq. 9).
    """

    query: Features
    gallery: Features | None
    old_query: Features | None = None
    new_gallery: Features | None = None
    paragon_query: Features | None = None
    paragon_gallery: Features | None = None

    def __iter__(self) -> Iterator[Features | None]:
        return (getattr(self, each.name) for each in fields(self))

    def comparisons(self, reverse: bool = False) -> list[Comparison]:
        """All pairs of models there are features for; `reverse` adds old/new, as Table 5 has it."""
        wanted = [
            ("new", "old", self.query, self.gallery),
            ("old", "old", self.old_query, self.gallery),
            ("new", "new", self.query, self.new_gallery),
            ("new*", "new*", self.paragon_query, self.paragon_gallery),
        ]
        if self.gallery is None and self.new_gallery is None:
            wanted.append(("new", "new", self.query, self.query))
        if reverse:
            wanted.append(("old", "new", self.old_query, self.new_gallery))
        return [Comparison(a, b, q.array, g.array) for a, b, q, g in wanted if q is not None and g is not None]


def open_sides(
    sources: dict[str, FeatureSource | None], n_query: int, n_gallery: int, query_rows: str, gallery_rows: str
) -> Sides:
    """Open what was given, by the names of Sides; every query file must have n_query rows, every gallery n_gallery."""
    if (sources.get("paragon_query") is None) != (sources.get("paragon_gallery") is None):
        raise UsageError("the paragon needs both its query and its gallery features")
    opened = {}
    for name, source in sources.items():
        is_query = name.endswith("query")
        n, rows = (n_query, query_rows) if is_query else (n_gallery, gallery_rows)
        opened[name] = open_features(f"{name}_features", source, n, rows)
    return Sides(**opened)
