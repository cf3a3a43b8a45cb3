"""Prototypes of templates by attention over their images, as Sec. 2.1 mentions beside the average.

For the image features f_i of a template, of weights w_i (1 where there are none), with u_i = f_i / |f_i|:

    m   = sum_i w_i f_i / |sum_i w_i f_i|                     the average prototype (`templates.template_embeddings`)
    a_i = exp(u_i . m / T) / sum_j exp(u_j . m / T)           softmax of each image's agreement with it
    c   = sum_i a_i w_i f_i / |sum_i a_i w_i f_i|             the prototype

It has no parameter but the temperature T: an image that disagrees with the others (another person, a bad crop) counts
less, the more so the lower T; as T grows, c becomes m. The attention that the paper refers to has learned weights
instead. Of one image, and of two of equal norm and weight, c is m.
"""

from collections.abc import Callable, Sequence

import numpy as np

from bctlib.data.templates import TemplateSet
from bctlib.base.errors import BctError
from bctlib.data.features_templates import template_embeddings
from bctlib.metrics.blocks import unit_rows

TEMPERATURES = (0.02, 0.05, 0.1, 0.2, 0.5)
DEFAULT_TEMPERATURE = 0.1
"""Where there are no validation identities to choose on."""


def attention_weights(features: np.ndarray, templates: TemplateSet, temperature: float) -> np.ndarray:
    """float32 [m], a_i of every image of every template in the order of `templates.image_index`; they sum to 1 each.

    features: float32 [n, d], one row per image of the pool. Raises BctError for a temperature that is not above 0, and
    as `template_embeddings` does.
    """
    if not temperature > 0:
        raise BctError(f"temperature of the attention is {temperature!r}, expected a number above 0")
    means = template_embeddings(features, templates)
    owner = np.repeat(np.arange(templates.size), templates.images_per_template)
    images = unit_rows(features, "image features", templates.image_index)
    agreement = np.einsum("ij,ij->i", images, means[owner]).astype(np.float64) / temperature
    highest = np.full(templates.size, -np.inf)
    np.maximum.at(highest, owner, agreement)
    weights = np.exp(agreement - highest[owner])
    return (weights / np.bincount(owner, weights, templates.size)[owner]).astype(np.float32)


def attention_embeddings(features: np.ndarray, templates: TemplateSet, temperature: float) -> np.ndarray:
    """float32 [t, d], the prototypes c; arguments and errors as above."""
    weights = attention_weights(features, templates, temperature)
    if templates.weight is not None:
        weights = weights * templates.weight
    attended = TemplateSet(templates.image_index, templates.start, templates.identity, weights)
    return template_embeddings(features, attended)


def choose_temperature(score: Callable[[float], float], temperatures: Sequence[float] = TEMPERATURES) -> float:
    """The temperature with the highest score, which must come from validation identities; of equal ones the highest."""
    return max(sorted(temperatures, reverse=True), key=score)
