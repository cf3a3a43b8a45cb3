"""Rates of training are measured by the unchanged loop, once a process, and are guesses only where there is no device.

No timing is judged: the clock is a counter wherever a number is.
"""

import pickle
from types import SimpleNamespace

import pytest
import torch
from tiny import tiny_set

from bctlib.training.devices import has_bf16, in_float32
from bctlib.training.scales import SCALES
from companion.measure import training_speed
from companion.measure.run import basis, plan
from companion.measure.training_speed import GUESSES, Rate, TimedSet, guessed_rate, measured_rate
from companion.results import load_rows
from companion.workbench import scale_data

CPU = torch.device("cpu")
STEP_S = 0.25


@pytest.fixture
def ticking(monkeypatch) -> SimpleNamespace:
    """A clock that stands still, except that a step takes STEP_S of wall time and a fifth of that of a core."""
    clock = SimpleNamespace(now=100.0, core=7.0, trainings=0)
    monkeypatch.setattr(
        training_speed, "time", SimpleNamespace(perf_counter=lambda: clock.now, thread_time=lambda: clock.core)
    )
    return clock


@pytest.fixture
def looped(ticking, monkeypatch) -> SimpleNamespace:
    """`ticking`, with a training that asks for batches as the loop does; nothing measured before."""

    def train(recipe, data, old, device, label):
        ticking.trainings += 1
        for _ in range(recipe.schedule.epochs):
            for _ in data.batches(torch.arange(len(data)), recipe.schedule.batch):
                ticking.now, ticking.core = ticking.now + STEP_S, ticking.core + STEP_S / 5

    monkeypatch.setattr(training_speed, "train", train)
    monkeypatch.setattr(training_speed, "_measured", {})
    return ticking


def test_a_limited_pass_ends_with_the_batch_in_which_the_time_was_over(ticking):
    data = TimedSet(tiny_set("abcd"), 4096, limits_s=(2 * STEP_S, 3.5 * STEP_S))
    steps = []
    for _ in range(3):
        steps.append(0)
        for _, labels in data.batches(torch.arange(64 if len(steps) == 3 else 4096), 16):
            assert len(labels) == 16
            ticking.now += STEP_S
            steps[-1] += 1
    assert steps == [2, 4, 4] and data.given == [32, 64, 64]  # the third has no limit, but only 64 places
    assert data.began == [100.0, 100.0 + 2 * STEP_S, 100.0 + 6 * STEP_S]


def test_the_rate_is_that_of_the_second_pass(looped, float32_only):
    rate = measured_rate(scale_data("smoke"), "glyphnet-norm", "cpu")
    assert rate.measured and rate.images_per_s == pytest.approx(64 / STEP_S)  # the batch of smoke scale is 64
    assert rate.where == "float32, 1 thread" and rate.core_share == pytest.approx(0.2)
    assert str(rate) == "256 images/s, float32, 1 thread, glyphnet-norm"
    assert rate.is_busy and not Rate("x", 1.0, "", True, 0.9).is_busy and not Rate("x", 1.0, "").is_busy


def test_a_rate_is_measured_once_for_a_network_size_device_and_precision(looped, monkeypatch):
    data = scale_data("smoke")
    first = measured_rate(data, "glyphnet-norm", "cpu")
    assert measured_rate(scale_data("smoke", seed=3), "glyphnet-norm", "cpu") is first and looped.trainings == 1
    measured_rate(data, "glyphnet-deep-norm", "cpu")
    monkeypatch.setattr("bctlib.training.devices.has_bf16", lambda device: not has_bf16(device))
    other = measured_rate(data, "glyphnet-norm", "cpu")
    assert looped.trainings == 3 and {first.where, other.where} == {"bfloat16, 1 thread", "float32, 1 thread"}


def test_the_estimates_of_a_plan_rest_on_it(looped, float32_only):
    (old,) = plan(["old"], "smoke", [0], device="cpu")
    assert looped.trainings == 0  # a rate is looked up when it is needed
    said = basis([old], "smoke")
    assert said.startswith(
        "measured just now: 256 images/s, float32, 1 thread, glyphnet-norm; "
        "the machine is busy: this had 20 % of a core, with a whole one 1,280; "
    )
    images = scale_data("smoke").n_images(0.5)
    assert old.estimated_s == pytest.approx(images * scale_data("smoke").settings.schedule.epochs / 256)
    (guessed,) = plan(["old"], "smoke", [0], device="cpu", measure=False)
    assert guessed == old and guessed.estimated_s != old.estimated_s
    said = basis([guessed], "smoke")
    assert "3,000 images/s, one core with bfloat16, glyphnet-norm: guesses, not measured" in said and "far" not in said


def test_what_is_not_here_is_a_guess(looped, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    gpu, paper = scale_data("gpu"), scale_data("paper", "persons")
    assert measured_rate(gpu, "resnet18") == guessed_rate(gpu, "resnet18") == Rate("resnet18", 12000, "one GPU")
    assert not measured_rate(scale_data("smoke"), "glyphnet-norm", "cuda").measured and looped.trainings == 0
    faces = scale_data("paper")
    ratio = guessed_rate(faces, "resnet101").images_per_s / guessed_rate(paper, "resnet101").images_per_s
    assert ratio == pytest.approx(256 * 128 / (112 * 112))


def test_every_network_of_a_scale_has_a_guess():
    for scale, task in [*((scale, "faces") for scale in SCALES), ("paper", "persons")]:
        assert set(scale_data(scale, task).settings.backbones.values()) <= set(GUESSES)


def test_the_real_loop_is_measured_in_a_step_or_two(monkeypatch, capsys):
    monkeypatch.setattr(training_speed, "_measured", {})
    monkeypatch.setattr(training_speed, "WARM_S", 0.0)
    monkeypatch.setattr(training_speed, "TIMED_S", 0.0)
    before = torch.get_rng_state()
    rate = measured_rate(scale_data("smoke"), "glyphnet-norm", "cpu")
    assert rate.measured and rate.images_per_s > 0 and 0 < rate.core_share <= 1.1
    assert torch.equal(torch.get_rng_state(), before) and capsys.readouterr() == ("", "")


@pytest.mark.parametrize(("scale", "task", "shape"), [
    ("desk", "faces", (28, 28)), ("paper", "faces", (3, 112, 112)), ("paper", "persons", (3, 256, 128)),
])  # fmt: skip
def test_generated_images_have_the_form_of_the_real_ones(scale, task, shape):
    data = scale_data(scale, task)
    images = data.generated(6).to(CPU)
    stored, labels = next(images.batches(torch.arange(4), 4))
    assert stored.dtype == torch.uint8 and stored.shape == (4, *shape) and labels.tolist() == [0, 1, 2, 3]
    assert data.image_size == shape[-2:] and len(images.classes) == data.n_identities
    channels = shape if len(shape) == 3 else (1, *shape)
    distorted = images.distortion(data.settings.distortion)(stored, torch.Generator().manual_seed(0), None)
    assert distorted.dtype == torch.float32 and distorted.shape == (4, *channels)
    plain = torch.cat([batch for batch, _ in images.plain_batches(4)])
    assert plain.shape == (6, *channels) and plain.min() >= -1 and plain.max() <= 1


def test_what_another_process_measures_can_be_sent_to_it():
    work = training_speed._measure, scale_data("gpu"), "resnet18", CPU
    measure, data, *_ = pickle.loads(pickle.dumps(work))
    assert measure is training_speed._measure and data == scale_data("gpu")


def test_a_core_makes_its_images_in_its_own_time(looped, monkeypatch, tmp_path):
    """A step of 64 images takes STEP_S, of which a fifth is the core's: 64 / STEP_S * 5 images per second of it."""
    monkeypatch.setenv("BCT_RESULTS", str(tmp_path))
    monkeypatch.setattr(training_speed, "has_bf16", lambda device: False)
    assert training_speed.save_training_speed("smoke", turns=1) == {"float32": pytest.approx(64 / STEP_S * 5)}
    (saved,) = load_rows("smoke", training_speed.SPEED_TABLE).itertuples()
    assert saved.device.endswith(", 1 thread, float32") and saved.operating_point == "glyphnet-norm"
    assert saved.value == pytest.approx(1280) and looped.trainings == 1


def test_bfloat16_can_be_left_out_for_a_while():
    before = has_bf16(CPU)
    with pytest.raises(KeyError), in_float32():
        assert not has_bf16(CPU)
        raise KeyError
    assert has_bf16(CPU) == before
