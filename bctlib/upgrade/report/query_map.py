"""New queries that reach the old gallery through a map of `bctlib align`."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from bctlib.base.errors import UsageError
from bctlib.upgrade.evaluate.comparisons import Sides
from bctlib.upgrade.evaluate.inputs import Features

if TYPE_CHECKING:
    from bctlib.upgrade.align import Map


@dataclass(frozen=True)
class QueryMap:
    """The map, and the new queries in the old space, [q, d_old]."""

    map: "Map"
    mapped: Features

    def as_dict(self) -> dict:
        """Plain types: what the map is and its digest."""
        made = self.map
        about = {"kind": made.kind, "new": made.new, "old": made.old, "pairs": made.pairs, "strength": made.strength}
        return about | {"digest": made.digest}

    def note(self) -> str:
        """What a reader must know of new/old."""
        made = self.map
        return f"new/old is measured through the {made.kind} map from {made.new!r} to {made.old!r}"


def open_query_map(source: "Map | str | Path", sides: Sides, new_id: str | None, old_id: str | None) -> QueryMap:
    """Load the map and map the new queries; a midpoint takes the old queries too.

    new_id, old_id: of the models that made the features; else the names of the new queries' and the old gallery's
    files. Raises BctError for a map in the wrong direction, of other models or other dimensions.
    """
    from bctlib.upgrade.align import Map  # SciPy is loaded only for this

    made = source if isinstance(source, Map) else Map.load(source)
    ids = []
    for name, given, features in (("new_id", new_id, sides.query), ("old_id", old_id, sides.gallery)):
        if given is None and features.path is None:
            raise UsageError(f"{name} is missing: query_map expects the id of the model that made the array's features")
        ids.append(features.path.stem if given is None else given)
    old_queries = sides.old_query.array if made.weight is not None else None
    mapped = made.apply(sides.query.path or sides.query.array, *ids, old_queries)
    return QueryMap(made, Features("mapped query_features", mapped))
