"""The tables of the tour: hits of the examples and of many searches, and what a backfill would cost."""

import numpy as np
import pandas as pd

from companion.measure.backfill_cost import GALLERY_SIZES, backfill_seconds
from companion.measure.examples import PAIRS, SMALL_GALLERY, TABLE, WHOLE, load_retrievals, mate_ranks
from companion.workbench import Workbench
from bctlib.base.provenance import provenance
from companion.tables.cells import DASH, measured, pair_text

_UNITS = (("years", 365.25 * 86400), ("days", 86400.0), ("hours", 3600.0), ("minutes", 60.0))


def hits_table(
    scale: str, seed: int | None = None, device: str | None = None, n_queries: int | None = None
) -> pd.DataFrame:
    """How often the first answer is right: among the examples shown, in their gallery, in the whole 1:N protocol.

    The examples are of one seed, by default the first, and the first n_queries of all that were saved; shares are in
    per cent, means over the seeds in the results.
    The last row is what guessing would give.
    """
    saved = load_retrievals(scale, seed, device, n_queries)
    examples, shares = saved.examples, measured(TABLE, scale, device)
    n_gallery, n_shown = len(examples.gallery), len(examples.queries)
    sizes = [gallery.size for gallery in saved.protocols.identification.galleries]
    names = (
        f"the {n_shown} shown",
        f"gallery of {n_gallery}: {saved.searches[SMALL_GALLERY]:,} searches, %",
        f"galleries of {sizes[0]:,}: {saved.searches[WHOLE]:,} searches, %",
    )
    lines = {}
    for pair in PAIRS:
        ranks = mate_ranks(saved.cosines[pair], examples.query_identity, examples.gallery_identity)
        of_many = [shares[*pair, protocol, "rank", "1"].text() for protocol in (SMALL_GALLERY, WHOLE)]
        lines[pair_text(pair)] = [f"{np.count_nonzero(ranks == 1)} of {n_shown}", *of_many]
    lines["guessing"] = [DASH, f"{100 / n_gallery:.1f}", f"{100 / np.mean(sizes):.1f}"]
    return pd.DataFrame.from_dict(lines, orient="index", columns=names).rename_axis("first answer right")


def duration(seconds: float) -> str:
    """Three digits and the largest unit that fits: `17.4 hours`."""
    unit, size = next(((unit, size) for unit, size in _UNITS if seconds >= size), ("seconds", 1.0))
    number = f"{seconds / size:.3g}"
    return f"{number} {unit.removesuffix('s') if number == '1' else unit}"


def cost_table(seconds_per_image: float) -> pd.DataFrame:
    """Time to embed galleries of three sizes again, and with a compatible model, which leaves them as they are."""
    return pd.DataFrame(
        {
            "images in the gallery": f"{n:,}",
            "backfill": duration(backfill_seconds(n, seconds_per_image)),
            "with a compatible model": "nothing to do",
        }
        for n in GALLERY_SIZES
    ).set_index("images in the gallery")


def machine(bench: Workbench) -> str:
    """What the bench's models run on, with its number of threads."""
    return provenance(str(bench.on))["device"]
