"""The tour's example: single pictures, embedded by three models, are searched in a small gallery of the old model.

The query models are the old one, an incompatible and a compatible new one. The choice of pictures depends on no model
and no outcome: `DRAW_SEED` draws `N_GALLERY` test identities, each is enrolled with one picture (the first of its
gallery template), and the first identities of the draw are searched with one picture each (their first probe of a
single picture). Cosines are saved as results, so that the figure can be redrawn without models.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from bctlib.base.errors import BctError
from bctlib.data.paper.ijbc import IjbcProtocols
from bctlib.data.protocols import GlyphProtocols
from bctlib.metrics.blocks import unit_rows
from companion.measure.templates import identification
from companion.pairs import Pair
from companion.results import load_rows, point_text, save_rows
from companion.workbench import Workbench

TABLE = "tour"
PAIRS: tuple[Pair, ...] = (("old", "old"), ("new*", "old"), ("new-bct-sys", "old"))
"""The gallery model is always the same; only the query model changes."""
N_GALLERY, N_QUERIES, DRAW_SEED = 16, 5, 0
SEARCH, SMALL_GALLERY, WHOLE = "tour, search for ", "tour, small gallery", "identification"
"""Protocols of the rows: cosines of one query (followed by its identity); hits of all single pictures of the gallery's
identities; hits of the whole 1:N test protocol."""


@dataclass(frozen=True)
class Examples:
    """A small gallery and pictures to search it with; all int64, positions in the protocols' image pool.

    gallery [g]: one picture per identity, in the order of identities; gallery_identity [g]. queries [q]: in the order
    of the draw; query_identity [q]. searches [s]: every single-picture probe of the gallery's identities, the queries
    among them; search_identity [s].
    """

    gallery: np.ndarray
    gallery_identity: np.ndarray
    queries: np.ndarray
    query_identity: np.ndarray
    searches: np.ndarray
    search_identity: np.ndarray


def draw_examples(
    protocols: GlyphProtocols | IjbcProtocols,
    n_queries: int = N_QUERIES,
    n_gallery: int = N_GALLERY,
    seed: int = DRAW_SEED,
) -> Examples:
    """The gallery and queries that the module's docstring describes; n_queries takes the first queries of the draw.

    Raises BctError if n_queries is not between 1 and n_gallery, and if fewer than n_gallery identities have a gallery
    template and a probe of a single picture.
    """
    probes, galleries = protocols.identification.probes, protocols.identification.galleries
    single = np.flatnonzero(probes.images_per_template == 1)
    first_picture = {
        int(identity): int(gallery.image_index[start])
        for gallery in galleries
        for identity, start in zip(gallery.identity, gallery.start[:-1], strict=True)
    }
    both = np.array(sorted(set(first_picture) & set(probes.identity[single].tolist())), np.int64)
    if not 1 <= n_queries <= n_gallery:
        raise BctError(f"parameter 'n_queries' is {n_queries}, expected 1 to {n_gallery}, the size of the gallery")
    if len(both) < n_gallery:
        raise BctError(
            f"a gallery of {n_gallery} needs {n_gallery} identities with single pictures, there are {len(both)}"
        )
    drawn = np.random.default_rng(seed).permutation(both)[:n_gallery]
    gallery_identity, query_identity = np.sort(drawn), drawn[:n_queries]
    positions, identities = probes.image_index[probes.start[single]], probes.identity[single]
    searched = np.isin(identities, drawn)
    return Examples(
        np.array([first_picture[identity] for identity in gallery_identity.tolist()], np.int64),
        gallery_identity,
        np.array([positions[np.flatnonzero(identities == identity)[0]] for identity in query_identity], np.int64),
        query_identity,
        positions[searched],
        identities[searched],
    )


def cosines(query_features: np.ndarray, gallery_features: np.ndarray) -> np.ndarray:
    """float32 [q, g] of embeddings [q, d] and [g, d] of any norm."""
    return unit_rows(query_features, "queries") @ unit_rows(gallery_features, "gallery").T


def rank_gallery(scores: np.ndarray) -> np.ndarray:
    """int64 [q, g]: places in the gallery, highest score first; ties in the gallery's order."""
    return np.argsort(-scores, axis=1, kind="stable")


def mate_ranks(scores: np.ndarray, query_identity: np.ndarray, gallery_identity: np.ndarray) -> np.ndarray:
    """int64 [q]: the rank, from 1, of each query's identity; the gallery holds each identity once."""
    return 1 + np.argmax(gallery_identity[rank_gallery(scores)] == query_identity[:, None], axis=1)


def save_examples(bench: Workbench, n_queries: int = N_QUERIES) -> None:
    """Search the small gallery with every pair's query model, and count hits over all searches of the test protocol.

    Rows: `cosine` of each query (protocol `SEARCH` and its identity) with each gallery identity (operating point);
    `rank` 1, the share of searches whose first answer is right, in the small gallery and in the whole 1:N protocol.
    Shares are in per cent; n_behind is the number of gallery pictures for a cosine, of searches for a share.
    """
    protocols = bench.protocols()
    examples = draw_examples(protocols, n_queries)
    rows = []
    for query, gallery in PAIRS:
        features = bench.pair_features(query, gallery)
        about = bench.about(query, gallery)
        rows += [about | row for row in _cosine_rows(examples, *features)]
        rows.append(about | _small_gallery_row(examples, *features))
        rows += [
            about | {
                "protocol": each.protocol, "metric": each.metric, "operating_point": 1,
                "value": each.value, "n_behind": each.n_behind,
            }
            for each in identification(protocols, *features)
            if (each.metric, each.operating_point) == ("rank", 1)
        ]  # fmt: skip
    save_rows(rows, bench.scale, TABLE)


def _cosine_rows(examples: Examples, query: np.ndarray, gallery: np.ndarray) -> list[dict]:
    scores = cosines(query[examples.queries], gallery[examples.gallery])
    return [
        {
            "protocol": f"{SEARCH}{identity}", "metric": "cosine", "operating_point": enrolled,
            "value": float(score), "n_behind": len(examples.gallery),
        }
        for identity, of_query in zip(examples.query_identity.tolist(), scores, strict=True)
        for enrolled, score in zip(examples.gallery_identity.tolist(), of_query, strict=True)
    ]  # fmt: skip


def _small_gallery_row(examples: Examples, query: np.ndarray, gallery: np.ndarray) -> dict:
    scores = cosines(query[examples.searches], gallery[examples.gallery])
    hits = mate_ranks(scores, examples.search_identity, examples.gallery_identity) == 1
    return {
        "protocol": SMALL_GALLERY, "metric": "rank", "operating_point": 1,
        "value": 100 * float(hits.mean()), "n_behind": len(hits),
    }  # fmt: skip


@dataclass(frozen=True)
class Retrievals:
    """Saved examples of one seed. cosines: float64 [q, g] for each pair; searches: number of searches by protocol."""

    protocols: GlyphProtocols
    examples: Examples
    cosines: Mapping[Pair, np.ndarray]
    searches: Mapping[str, int]


def load_retrievals(
    scale: str, seed: int | None = None, device: str | None = None, n_queries: int | None = None
) -> Retrievals:
    """The saved examples of a seed, by default the first; reads data and results and needs no model.

    device: as in `companion.results.load_rows`. n_queries: how many of the first queries, by default all that were
    ever saved, because saving only adds results. Raises BctError if the results are incomplete.
    """
    rows = load_rows(scale, TABLE, device)
    rows = rows[rows["seed"] == (rows["seed"].min() if seed is None else seed)]
    protocols = Workbench(scale, device="cpu").protocols()
    saved = rows.loc[rows["metric"] == "cosine", "protocol"].nunique()
    examples = draw_examples(protocols, saved if n_queries is None else n_queries)
    searches = rows[rows["metric"] == "rank"].groupby("protocol")["n_behind"].first().to_dict()
    return Retrievals(protocols, examples, {pair: _saved(rows, pair, examples) for pair in PAIRS}, searches)


def _saved(rows: pd.DataFrame, pair: Pair, examples: Examples) -> np.ndarray:
    here = rows[(rows["query_model"] == pair[0]) & (rows["gallery_model"] == pair[1]) & (rows["metric"] == "cosine")]
    table = here.pivot(index="protocol", columns="operating_point", values="value").reindex(
        index=[f"{SEARCH}{identity}" for identity in examples.query_identity],
        columns=[point_text(identity) for identity in examples.gallery_identity],
    )
    if table.isna().to_numpy().any():
        raise BctError(f"the results of {TABLE!r} lack cosines of {pair}: run `./reproduce.sh tour` first")
    return table.to_numpy(float)
