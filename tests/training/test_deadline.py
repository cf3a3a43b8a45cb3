"""A training that a deadline stops resumes where it stopped."""

import math

import pytest
from test_checkpoint import CPU, EPOCHS, STEPS, run, same_training
from tiny import tiny_recipe, tiny_set

from bctlib.base import deadline
from bctlib.training.loop import train


def test_a_training_stops_at_the_deadline_step_by_step_and_ends_in_the_same_bits(tmp_path):
    recipe, path = tiny_recipe(epochs=EPOCHS), tmp_path / "checkpoint"
    whole = train(recipe, tiny_set(), None, CPU)
    for _ in range(EPOCHS * STEPS - 1):
        with deadline.in_seconds(-1), pytest.raises(deadline.OutOfTime, match="mine: time is over.*resumes") as stopped:
            run(recipe, path)
        assert stopped.value.exit_code == deadline.UNFINISHED and path.exists()
    with deadline.in_seconds(-1):  # the last step is left: what is finished is not given up
        assert same_training(run(recipe, path), whole)
    assert deadline.seconds_left() == math.inf
