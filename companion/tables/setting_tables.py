"""Tables of what was set up: the models (Tables 1a, 3a, 4a) and the protocols."""

from collections.abc import Sequence

import pandas as pd

from companion.workbench import Workbench
from bctlib.models import BASELINES, ModelSpec


def model_table(bench: Workbench, specs: Sequence[ModelSpec] = BASELINES) -> pd.DataFrame:
    """One row per model, as Table 1a: data, network, embedding dimension, head, method, old model."""
    rows = [
        {
            "model": spec.name,
            "training identities": f"{100 * spec.share:.0f} % of {bench.data.n_identities}",
            "backbone": bench.settings.backbones[spec.backbone],
            "dim": spec.dim,
            "head": spec.head,
            "method": spec.method,
            "old model": spec.old or "–",
        }
        for spec in specs
    ]
    return pd.DataFrame(rows).set_index("model")


def protocol_table(bench: Workbench) -> pd.DataFrame:
    """How many identities, images, templates, pairs and searches the test protocols have.

    Of glyphs also without the identities that have close doubles.
    """
    counts = {"full": bench.protocols().counts}
    if bench.distinct is not None:
        counts["no look-alikes"] = bench.distinct.counts
    return pd.DataFrame(counts).map(lambda count: f"{count:,}")
