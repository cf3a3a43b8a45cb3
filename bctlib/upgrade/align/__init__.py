"""Maps from a new model's features into an old model's space, without training: new queries search the old gallery.

    from bctlib.upgrade.align import Map, fit
    made = fit("new.npy", "old.npy", "ridge", new_id="v2", old_id="v1")   # features of the same images by both models
    made.save("map.safetensors")
    queries = Map.load("map.safetensors").apply("queries.npy", model="v2", gallery="v1")

`maps` (the formulas), `lambda_orthogonal` (the one without a closed form), `kinds` (names, strengths, pairs that each
needs), `inputs` (features and held-out pairs), `open_set` (validation identities), `fitting`, `mapping` (the map
itself), `files`; `bctlib align` is the command. NumPy and SciPy only.
"""

from bctlib.upgrade.align.fitting import fit
from bctlib.upgrade.align.kinds import NAMES
from bctlib.upgrade.align.mapping import Map
from bctlib.upgrade.align.open_set import OpenSet

__all__ = ["NAMES", "Map", "OpenSet", "fit"]
