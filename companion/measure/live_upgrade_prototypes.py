"""Prototypes of a growing gallery by average and by attention (Sec. 2.1), on the galleries of the 1:N protocol.

A class has one prototype, of up to four images. On day 0 all are by the old model and searched by it; then classes are
added whose prototypes are by the new model, which now embeds the queries; at the end all prototypes are.
The temperature of the attention is chosen on validation identities: that with the highest TPIR of new queries on
prototypes of the old model.
"""

from collections.abc import Callable, Iterator
from functools import partial

import numpy as np

from bctlib.data.templates import TemplateSet
from companion.backfill_curves import tpir_name
from companion.measure.templates import FPIRS, Measurement
from companion.measure.live_upgrade_galleries import is_added
from companion.live_upgrade_names import ATTENTION, AVERAGE, RANK, TEMPERATURE
from companion.workbench import Workbench
from bctlib.data.attention_pooling import DEFAULT_TEMPERATURE, attention_embeddings, choose_temperature
from bctlib.data.features_templates import template_embeddings
from bctlib.metrics.identification import rank_k_over_galleries, search, tpir_over_galleries
from bctlib.upgrade.serve.steps import DAY_0, END, NEW_ITEMS

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
    """Chosen on validation identities, or the default where there are none."""
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
    """images: features that the classes of day 0 are pooled from, and those of added classes."""
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
