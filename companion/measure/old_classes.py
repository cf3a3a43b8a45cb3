"""Measures of a pair of models with the number of old classes to which the new model is bound."""

from bctlib.methods.paper import part_of
from companion.curves import CLASSES
from companion.measure.templates import Measurement, compare
from companion.workbench import Workbench

TRAINING = "training"
"""The protocol of numbers that were counted in training."""


def compare_and_count(bench: Workbench, query: str, gallery: str, part: str = "test") -> list[Measurement]:
    """`compare`, and the number of the gallery model's classes in the query model's influence loss.

    For a pair of one model that is the number of its classes. n_behind repeats the number.
    """
    classes = len(part_of(bench.model(gallery).classes, bench.recipe(query).options.get("part", 1.0)))
    return [*compare(bench, query, gallery, part), Measurement(TRAINING, CLASSES, "", classes, classes)]
