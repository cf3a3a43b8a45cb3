"""The galleries and searches of a live upgrade.

The galleries are the long-tailed ones of notebook 05, image by image: an item is an image, a class an identity. A fifth
of each gallery's classes, drawn by a fixed seed, is not there on day 0 and is added after the new model came. Queries
are the probes of the 1:N protocol.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np

from bctlib.data.long_tail import long_tailed_galleries
from bctlib.data.templates import TemplateSet
from companion.backfill_curves import LARGEST
from companion.live_upgrade_names import FLAT, RANDOM
from companion.workbench import Workbench
from bctlib.data.features_templates import template_embeddings
from bctlib.metrics.backfill_orders import largest_first, random_order
from bctlib.upgrade.serve.upgrade import Step, Upgrade, dual_write, one_index
from bctlib.models import find_model

ADDED_SHARE = 0.2


def version(bench: Workbench, name: str) -> str:
    """The id by which an index knows a model: its name, for people, and the key of its recipe, which is unique."""
    return f"{name} {bench.recipe(name).key}"


def is_added(classes: np.ndarray, number: int) -> np.ndarray:
    """bool, whether each class is one of those that come after day 0: a fifth, drawn by a seed and the gallery."""
    distinct = np.unique(classes)
    drawn = np.random.default_rng([7, number]).permutation(distinct)[: round(ADDED_SHARE * len(distinct))]
    return np.isin(classes, drawn)


@dataclass(frozen=True)
class Side:
    """One of the two galleries with the searches in it.

    number: 0 for G1, 1 for G2; features: of every image of the pool, by a model's id; probes: embeddings of the probe
    templates, likewise. compatible: whether the new model was trained to be compared with the old one.
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
