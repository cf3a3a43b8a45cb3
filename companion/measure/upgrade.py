"""A live upgrade measured at every step: accuracy, recall of the approximate indexes, storage and embedded images.

Galleries: the long-tailed ones of notebook 05, image by image: an item is an image, a class an identity. A fifth of
each gallery's classes, drawn by a fixed seed, is missing on day 0 and is added after the new model arrives. Queries
are the probes of the 1:N protocol.

Accuracy is that of the first hit. Searches for classes of day 0 (and, separately, for added ones) are mated; the probes
of the other gallery are non-mated and set a new threshold at each step. Values are means over G1 and G2.

Prototypes by average and by attention (Sec. 2.1) are compared on the galleries of the 1:N protocol. A class has one
prototype, of up to four images. On day 0 the old model makes all prototypes and queries; then the new model embeds the
queries and the prototypes of added classes; at the end it has made all prototypes. The temperature of the attention is
the one with the highest TPIR of new queries on prototypes of the old model, on validation identities.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from itertools import chain

import numpy as np

from bctlib.data.templates import (
    DEFAULT_TEMPERATURE,
    TemplateSet,
    attention_embeddings,
    choose_temperature,
    template_embeddings,
)
from bctlib.data.variants import long_tailed_galleries
from bctlib.metrics.backfill import largest_first, random_order
from bctlib.metrics.identification import rank_k, rank_k_over_galleries, search, tpir_at_fpir, tpir_over_galleries
from bctlib.metrics.verification import thresholds
from bctlib.models import find_model
from bctlib.upgrade.serve.latency import one_thread, recall
from bctlib.upgrade.serve.live_index import Hits
from bctlib.upgrade.serve.steps import BACKFILL, DAY_0, END, NEW_ITEMS, STEPS
from bctlib.upgrade.serve.upgrade import Step, Upgrade, dual_write, one_index
from companion.curves import (
    ADDED,
    APPROXIMATE,
    ATTENTION,
    AVERAGE,
    BYTES,
    EMBEDDED,
    FLAT,
    INSERTED,
    LARGEST,
    RANDOM,
    RANK,
    RECALL_1,
    RECALL_10,
    STRICT_FPIR,
    TEMPERATURE,
    TOMBSTONES,
    TWO_THRESHOLDS,
    tpir_name,
    upgrade_name,
)
from companion.measure.templates import FPIRS, Measurement
from companion.workbench import Workbench

ADDED_SHARE = 0.2


def version(bench: Workbench, name: str) -> str:
    """A model's id in an index: its name, for people, and the key of its recipe, which is unique."""
    return f"{name} {bench.recipe(name).key}"


def is_added(classes: np.ndarray, number: int) -> np.ndarray:
    """bool, whether each class is added after day 0: a fifth of them, drawn by a seed and the gallery's number."""
    distinct = np.unique(classes)
    drawn = np.random.default_rng([7, number]).permutation(distinct)[: round(ADDED_SHARE * len(distinct))]
    return np.isin(classes, drawn)


@dataclass(frozen=True)
class Side:
    """One of the two galleries with its searches.

    number: 0 for G1, 1 for G2; features: of every image of the pool, by model id; probes: embeddings of the probe
    templates, by model id. compatible: whether the new model was trained to be compared with the old one.
    """

    number: int
    templates: TemplateSet
    old: str
    new: str
    compatible: bool
    features: Mapping[str, np.ndarray] = field(repr=False)
    probes: Mapping[str, np.ndarray] = field(repr=False)
    probe_class: np.ndarray = field(repr=False)

    def upgrade(self, kind: str = FLAT, order: str = RANDOM) -> Upgrade:
        templates = self.templates
        classes = np.repeat(templates.identity, templates.images_per_template)
        added, later = is_added(classes, self.number), is_added(templates.identity, self.number)
        first = templates.identity[~later]
        in_order = (
            largest_first(first, templates.images_per_template[~later], [0, self.number])
            if order == LARGEST
            else random_order(first, [0, self.number])
        )
        return Upgrade(
            templates.image_index[~added], classes[~added], templates.image_index[added], classes[added],
            in_order, self.old, self.new, lambda model, items: self.features[model][items],
            self.features[self.old].shape[1], self.features[self.new].shape[1], kind,
        )  # fmt: skip

    def steps(self, kind: str = FLAT, order: str = RANDOM) -> Iterator[Step]:
        return (one_index if self.compatible else dual_write)(self.upgrade(kind, order))


def gallery_side(bench: Workbench, number: int, query: str, gallery: str, part: str = "test") -> Side:
    """Gallery G1 (0) or G2 (1) with the features of both models."""
    protocols = bench.protocols(part)
    probes = protocols.identification.probes
    features = {version(bench, name): bench.features(name, part) for name in (gallery, query)}
    embedded = {model: template_embeddings(each, probes) for model, each in features.items()}
    compatible = find_model(query).old == gallery
    templates = long_tailed_galleries(protocols)[number]
    old, new = features
    return Side(number, templates, old, new, compatible, features, embedded, probes.identity)


Pooling = Callable[[np.ndarray, TemplateSet], np.ndarray]


def compare_prototypes(bench: Workbench, query: str, gallery: str, part: str = "test") -> Iterator[Measurement]:
    """TPIR and rank 1 of both kinds of prototype on day 0, with added classes, and at the end."""
    temperature = temperature_of(bench, query, gallery)
    yield Measurement(ATTENTION, TEMPERATURE, DAY_0, temperature, 0)
    attention = partial(attention_embeddings, temperature=temperature)
    new, old = bench.pair_features(query, gallery, part)
    for name, pooling in ((AVERAGE, template_embeddings), (ATTENTION, attention)):
        for step, queries, images in ((DAY_0, old, (old, old)), (NEW_ITEMS, new, (old, new)), (END, new, (new, new))):
            yield from _measured(bench, part, name, step, queries, images, pooling)


def temperature_of(bench: Workbench, query: str, gallery: str) -> float:
    """The temperature chosen on validation identities, or the default if there are none."""
    if "validation" not in bench.data.parts:
        return DEFAULT_TEMPERATURE
    features = bench.pair_features(query, gallery, "validation")
    identification = bench.protocols("validation").identification
    probes = template_embeddings(features[0], identification.probes)

    def score(temperature: float) -> float:
        return tpir_over_galleries(
            [
                search(
                    probes, identification.probes.identity,
                    attention_embeddings(features[1], each, temperature), each.identity,
                )
                for each in identification.galleries
            ],
            max(FPIRS),
        )  # fmt: skip

    return choose_temperature(score)


def _measured(
    bench: Workbench, part: str, name: str, step: str, queries: np.ndarray, images: tuple[np.ndarray, np.ndarray],
    pooling: Pooling,
) -> Iterator[Measurement]:  # fmt: skip
    """images: features from which the classes of day 0 are pooled, and those for the added classes."""
    identification = bench.protocols(part).identification
    probes, found = template_embeddings(queries, identification.probes), []
    for number, templates in enumerate(identification.galleries):
        added = is_added(templates.identity, number)
        if step == DAY_0:
            templates, added = templates.without(templates.identity[added]), added[~added]
        prototypes = np.where(added[:, None], pooling(images[1], templates), pooling(images[0], templates))
        found.append(search(probes, identification.probes.identity, prototypes, templates.identity))
    n_nonmated = min(len(each.nonmated_best) for each in found)
    for fpir in FPIRS[1:]:
        if fpir * n_nonmated >= 1:
            yield Measurement(name, tpir_name(fpir), step, 100 * tpir_over_galleries(found, fpir), n_nonmated)
    n_mated = sum(int(each.mated.sum()) for each in found)
    yield Measurement(name, RANK, step, 100 * rank_k_over_galleries(found, 1), n_mated)


HITS, EVERY = 10, 10
"""Recall is measured on the first HITS hits of every EVERY-th query."""


def compare_upgrade(bench: Workbench, query: str, gallery: str, part: str = "test") -> list[Measurement]:
    """The upgrade from `gallery` to `query`: in one index if `query` was trained for that model, else by dual write.

    Accuracy is measured in flat indexes. For a compatible model also with the largest classes backfilled first, from
    the first backfill on, and the recall of the other kinds of index against the flat one.
    """
    sides = tuple(gallery_side(bench, number, query, gallery, part) for number in (0, 1))
    found = _means(upgrade_name(FLAT, RANDOM), (_of_flat(side, RANDOM) for side in sides))
    if sides[0].compatible:
        found += _means(upgrade_name(FLAT, LARGEST), (_of_flat(side, LARGEST, tuple(BACKFILL)) for side in sides))
        for kind in APPROXIMATE:
            found += _means(upgrade_name(kind, RANDOM), (_of_kind(side, kind) for side in sides))
        found += compare_prototypes(bench, query, gallery, part)
    return found


Values = Iterator[tuple[str, float, int]]
"""(metric, value, number behind it)."""


def _means(protocol: str, of_sides: Iterable[Iterable[tuple[str, Iterable]]]) -> list[Measurement]:
    """Mean over the galleries of the values measured at each step."""
    values: dict[tuple[str, str], list[tuple[float, int]]] = {}
    with one_thread():
        for steps in of_sides:
            for step, measured in steps:
                for metric, value, n_behind in measured:
                    values.setdefault((step, metric), []).append((value, n_behind))
    return [
        Measurement(protocol, metric, step, float(np.mean([value for value, _ in each])), min(n for _, n in each))
        for (step, metric), each in values.items()
    ]


def _of_flat(side: Side, order: str, names: tuple[str, ...] = STEPS) -> Iterator[tuple[str, Values]]:
    for step in side.steps(FLAT, order):
        if step.name in names:
            yield step.name, chain(_held(step), _accuracies(side, step))


def _of_kind(side: Side, kind: str) -> Iterator[tuple[str, Values]]:
    """Every step of this kind of index, compared with the same step of a flat one."""
    for step, flat in zip(side.steps(kind), side.steps(FLAT), strict=True):
        queries = side.probes[step.queries_by][::EVERY]
        found, exact = (each.index.search(queries, step.queries_by, HITS).items for each in (step, flat))
        first, ten = recall(found, exact)
        recalls = (RECALL_1, 100 * first, len(queries)), (RECALL_10, 100 * ten, len(queries))
        yield step.name, chain(_held(step), recalls)


def _held(step: Step) -> Values:
    n = sum(len(index) for index in step.indexes)
    yield BYTES, step.nbytes, n
    yield EMBEDDED, step.embedded, n
    yield INSERTED, sum(index.inserted for index in step.indexes), n
    yield TOMBSTONES, sum(index.tombstones for index in step.indexes), n


def _accuracies(side: Side, step: Step) -> Values:
    """Rank 1 and TPIR of the first hit, for classes of day 0 and, after they are added, for added ones.

    Also with a threshold for the vectors of each model (notebook 05), which the model ids make possible: each model's
    share of the allowed false positives is its share of the vectors, and hits are ranked by their distance above
    their model's threshold.
    """
    nonmated = np.flatnonzero(~np.isin(side.probe_class, side.templates.identity))
    hits = step.index.search(side.probes[step.queries_by], step.queries_by)
    best, right = hits.scores[:, 0], hits.classes[:, 0] == side.probe_class
    accepted = _by_two_thresholds(side, step, hits, nonmated)
    upgrade, held = side.upgrade(), step.index.classes
    for ending, classes in (("", upgrade.classes), (ADDED, upgrade.new_classes)):
        mated = np.flatnonzero(np.isin(side.probe_class, np.intersect1d(classes, held)))
        if len(mated) == 0:
            continue
        ranks = np.where(right[mated], 1, 2)
        yield RANK + ending, 100 * rank_k(ranks, 1), len(mated)
        for fpir in FPIRS[1:]:
            if fpir * len(nonmated) >= 1:
                value = tpir_at_fpir(best[mated], ranks, best[nonmated], fpir)
                yield tpir_name(fpir) + ending, 100 * value, len(nonmated)
        if STRICT_FPIR * len(nonmated) >= 1:
            yield TWO_THRESHOLDS + ending, 100 * float(accepted[mated].mean()), len(nonmated)


def _by_two_thresholds(side: Side, step: Step, hits: Hits, nonmated: np.ndarray) -> np.ndarray:
    """bool [q], whether the first hit is right and above its model's threshold.

    hits: of the whole index; used directly if the index holds vectors of one model only.
    """
    above, right = [], []
    for model, count in step.index.models.items():
        if count < len(step.index):
            hits = step.index.search(side.probes[step.queries_by], step.queries_by, made_by=model)
        share = STRICT_FPIR * count / len(step.index)
        (threshold, _) = thresholds(hits.scores[nonmated, 0], [share], name="non-mated")[0]
        above.append(hits.scores[:, 0] - threshold)
        right.append(hits.classes[:, 0] == side.probe_class)
    first = np.argmax(above, axis=0)
    queries = np.arange(len(first))
    return (np.array(above)[first, queries] > 0) & np.array(right)[first, queries]
