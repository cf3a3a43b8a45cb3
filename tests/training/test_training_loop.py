"""The training loop: bit-equal repetition, schedules by hand, every method trains, faults said in one sentence."""

import math
from types import SimpleNamespace

import pytest
import torch
from tiny import same_weights, tiny_recipe, tiny_set

from bctlib.base import progress
from bctlib.base.errors import BctError
from bctlib.base.progress import Event
from bctlib.data.distortion import TrainingDistortion
from bctlib.losses import HEADS
from bctlib.methods import METHODS, OldModel
from bctlib.networks import BACKBONES, GlobalAverage, build_backbone
from bctlib.training import loop, run_state
from bctlib.training.loop import Trained, hash_seed, learning_rate, step_generator, train
from bctlib.training.recipe import Schedule

CPU = torch.device("cpu")
NEEDS_OLD = [name for name, method in METHODS.items() if method.needs_old]


def trained(old_model: OldModel | None = None, classes: str = "abcd", **changes) -> Trained:
    return train(tiny_recipe(**changes), tiny_set(classes), old_model, CPU)


def as_old(model: Trained) -> OldModel:
    return OldModel(model.backbone, model.head, model.classes)


@pytest.fixture(scope="module")
def first() -> Trained:
    """An old model of two of the four classes."""
    return trained(classes="ac", dim=6, epochs=8)


def test_the_same_recipe_gives_the_same_bits_and_another_seed_does_not():
    one, again, other = trained(), trained(), trained(seed=1)
    assert one.losses == again.losses
    assert same_weights(one.backbone, again.backbone) and same_weights(one.head, again.head)
    assert not same_weights(one.backbone, other.backbone)


def test_every_method_repeats_to_the_bit_and_leaves_the_old_model_alone(first):
    before = [{k: v.clone() for k, v in module.state_dict().items()} for module in (first.backbone, first.head)]
    for name in NEEDS_OLD:
        recipe = {"method": name, "old": "0" * 16, "epochs": 1}
        new, again = trained(as_old(first), **recipe), trained(as_old(first), **recipe)
        assert same_weights(new.backbone, again.backbone), name
        assert new.head.classes == len(new.classes) == (2 if name == "lwf" else 4)
        assert all(math.isfinite(loss) for loss in new.losses)
        for module, held in zip((first.backbone, first.head), before, strict=True):
            assert all(torch.equal(held[key], value) for key, value in module.state_dict().items()), name


def test_training_depends_on_no_global_random_state_and_leaves_it():
    torch.manual_seed(1)
    one, state = trained(epochs=1), torch.get_rng_state()
    torch.manual_seed(1)
    assert torch.equal(torch.get_rng_state(), state)
    torch.manual_seed(2)
    assert same_weights(one.backbone, trained(epochs=1).backbone)


def test_random_numbers_of_a_step_depend_on_key_epoch_and_step_only():
    def draw(*of):
        return tuple(torch.rand(3, generator=step_generator(*of)).tolist())

    key = tiny_recipe().key
    cases = [(key, 0, 0), (key, 0, 1), (key, 1, 0), (key, 0, -1), (key, 1, -1), (tiny_recipe(seed=1).key, 0, 0)]
    assert len({draw(*case) for case in cases}) == len(cases)
    assert draw(key, 3, 4) == draw(key, 3, 4)
    assert all(0 <= hash_seed(k, e, s) < 2**63 for k, e, s in cases)


def test_the_trained_model_is_frozen_in_evaluation_mode(first):
    for module in (first.backbone, first.head):
        assert not module.training and not any(p.requires_grad for p in module.parameters())
    assert first.classes == ("a", "c") and first.transform is None
    assert len(first.losses) == 8 and first.seconds > 0 and first.images_per_s > 0


@pytest.mark.parametrize("head", HEADS)
def test_an_easy_set_is_learnt(head):
    settings = {"softmax": {}, "norm-softmax": {"scale": 8.0}, "cosine-margin": {"scale": 8.0, "margin": 0.2}}[head]
    data = tiny_set("abcdef")
    model = train(tiny_recipe(head=head, head_settings=settings, epochs=8), data, None, CPU)
    assert model.losses[-1] < 0.5 * model.losses[0]
    images, labels = next(iter(tiny_set("abcdef").plain_batches()))
    accuracy = (model.head.logits(model.backbone(images)).argmax(1) == labels).float().mean().item()
    assert accuracy > 0.7  # chance is 1/6


def test_bct_binds_the_new_embedding_to_the_old_head(first):
    """The old head classifies a new embedding trained with it, not one trained alone."""
    images, labels = next(iter(tiny_set("ac").plain_batches()))

    def judged(method: str) -> float:
        new = trained(as_old(first), method=method, old="0" * 16, epochs=6, dim=8)
        return first.head.loss(new.backbone(images)[:, :6], labels, margin=False).item()

    assert judged("bct") < 0.5 * judged("independent")


def rates(schedule: Schedule, steps_per_epoch: int) -> list[float]:
    steps = schedule.epochs * steps_per_epoch
    return [learning_rate(schedule, step, steps) for step in range(steps)]


def test_the_papers_schedule():
    found = rates(Schedule("steps", epochs=16, batch=320, rate=0.1, drops=(8, 12, 14)), 7)
    expected = [0.1] * 8 * 7 + [0.01] * 4 * 7 + [0.001] * 2 * 7 + [0.0001] * 2 * 7
    assert found == pytest.approx(expected)


def test_one_cycle_schedule():
    found = rates(Schedule("one-cycle", epochs=2, batch=8, rate=0.4, warm_up=0.2), 5)
    falling = [0.4 * (1 + math.cos(math.pi * i / 8)) / 2 for i in range(8)]
    assert found == pytest.approx([0.2, 0.4, *falling])
    assert rates(Schedule("one-cycle", epochs=1, batch=8, rate=0.4), 1) == [0.4]


def test_the_optimiser_follows_the_schedule(monkeypatch):
    """A rate that falls to 0 after the first epoch stops all weights there."""
    one = trained(kind="steps", epochs=1)
    monkeypatch.setattr(loop, "hash_seed", lambda key, *numbers: hash(numbers) % 2**31)  # the same for both recipes
    monkeypatch.setattr(loop, "learning_rate", lambda schedule, step, steps: 0.1 if step < 2 else 0.0)
    one, three = trained(epochs=1), trained(epochs=3)
    assert all(torch.equal(p, q) for p, q in zip(one.head.parameters(), three.head.parameters(), strict=True))


@pytest.fixture
def events(monkeypatch) -> list[Event]:
    """What is shown of a training, every step of it."""
    shown = []
    monkeypatch.delenv(progress.PROGRESS_FILE, raising=False)
    monkeypatch.setattr(progress, "_current_display", lambda: SimpleNamespace(show=shown.append))
    monkeypatch.setattr(progress, "PART_S", 0.0)
    return shown


def test_steps_are_shown_as_parts_of_their_epoch_with_the_mean_loss_so_far(events):
    model = trained()  # two epochs of two steps
    assert [(event.kind, event.done) for event in events] == [
        ("begin", 0), ("part", 0.5), ("step", 1), ("part", 1.5), ("step", 2), ("end", 2)
    ]  # fmt: skip
    half, first, and_a_half, second = (event.fields["loss"] for event in events[1:-1])
    assert [first, second] == model.losses
    assert half != first and and_a_half != second
    assert all(event.fields["images_per_s"] > 0 for event in events[1:-1])


class Clocks:
    """Wall clock and this thread's share of a core; `per_look` seconds pass at each look at the wall clock."""

    def __init__(self, share: float = 1.0, per_look: float = 0.0):
        self.share, self.per_look, self.wall, self.core = share, per_look, 0.0, 0.0

    def pass_by(self, seconds: float, share: float) -> None:
        self.wall, self.core = self.wall + seconds, self.core + share * seconds

    def perf_counter(self) -> float:
        self.pass_by(self.per_look, self.share)
        return self.wall

    def thread_time(self) -> float:
        return self.core


@pytest.mark.parametrize(("share", "note"), [(0.4, "busy (this training has 40 % of a core)"), (0.9, None)])
def test_a_training_says_when_other_programs_take_its_core(events, monkeypatch, share, note):
    monkeypatch.setattr(run_state, "time", Clocks(share, per_look=1.0))
    trained()
    assert {event.fields.get("machine") for event in events if event.kind in ("part", "step")} == {note}


def test_the_share_of_the_core_is_of_the_computing_alone_and_since_the_last_look(monkeypatch):
    clocks = Clocks()
    monkeypatch.setattr(run_state, "time", clocks)
    core = run_state.CoreShare()
    told = []
    for seconds, share in ((0.5, 0.0), (1.5, 0.4), (2.0, 1.0), (0.5, 0.0)):
        clocks.pass_by(100.0, 0.0)  # waiting for files
        core.start()
        clocks.pass_by(seconds, share)
        core.stop()
        told.append(core.taken())
    assert told == [None, pytest.approx(0.3), pytest.approx(1.0), pytest.approx(1.0)]  # the last is too short to tell


def test_an_epoch_sees_every_image_at_most_once(monkeypatch):
    seen = []
    distort = TrainingDistortion.__call__
    monkeypatch.setattr(
        TrainingDistortion, "__call__",
        lambda self, images, *random: (seen.extend(map(bytes, images.numpy().reshape(len(images), -1))),
                                       distort(self, images, *random))[1],
    )  # fmt: skip
    data = tiny_set("abc", per_class=15)  # 45 images, distinct, in batches of 20
    train(tiny_recipe(batch=20, epochs=1), data, None, CPU)
    assert len(seen) == len(set(seen)) == 40


def test_a_set_smaller_than_the_batch_is_one_step():
    model = train(tiny_recipe(batch=320, epochs=1), tiny_set("ab", per_class=4), None, CPU)
    assert math.isfinite(model.losses[0])


def test_a_loss_that_is_not_finite_stops():
    with pytest.raises(BctError, match="my model: the loss is (nan|inf).*rate or lambda"):
        train(tiny_recipe(rate=1e30, head="softmax", head_settings={}), tiny_set(), None, CPU, "my model")


@pytest.mark.parametrize("name", NEEDS_OLD)
def test_a_method_without_the_old_model_it_needs(name):
    with pytest.raises(BctError, match=f"{name}.*needs an old model"):
        trained(method=name)


def test_faults_of_a_recipe(first):
    with pytest.raises(BctError, match="dim is 4, expected at least 6"):
        trained(as_old(first), method="bct", old="0" * 16, dim=4)
    with pytest.raises(BctError, match="unknown schedule 'linear'"):
        trained(kind="linear")
    with pytest.raises(BctError, match="unknown backbone 'vgg'.*glyphnet"):
        trained(backbone="vgg")


@pytest.mark.parametrize("name", BACKBONES)
@pytest.mark.parametrize("side", [28, 112])
def test_every_backbone_embeds_grey_images(name, side):
    with torch.device("meta"):
        net = build_backbone(name, 128)
        assert net(torch.empty(2, 1, side, side)).shape == (2, 128)


def test_the_embedding_ends_in_a_linear_layer_and_relu_is_a_variant():
    torch.manual_seed(0)
    images = torch.randn(16, 1, 28, 28)
    plain, relu = build_backbone("glyphnet", 16), build_backbone("glyphnet", 16, relu=True)
    relu.load_state_dict(plain.state_dict())
    z = plain(images)
    assert z.min() < 0
    torch.testing.assert_close(relu(images), z.clamp(min=0))
    pooled = plain.trunk(images).mean((2, 3))
    torch.testing.assert_close(plain.embed(pooled), z)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("shape", [(1, 16, 1, 1), (5, 32, 3, 7), (31, 128, 4, 4), (3, 512, 7, 7)])
def test_the_average_and_its_gradient_are_those_of_a_plain_mean_and_keep_the_layout(shape, dtype):
    """To the bit: models were trained with the plain mean, whose gradient is laid out anew and slow."""
    torch.manual_seed(0)
    x = torch.randn(shape).to(dtype).contiguous(memory_format=torch.channels_last).requires_grad_()
    gradient = torch.randn(shape[:2]).to(dtype)
    pooled, plain = GlobalAverage()(x), x.mean((2, 3))
    assert torch.equal(pooled, plain)
    (ours,), (theirs,) = (torch.autograd.grad(z, x, gradient) for z in (pooled, plain))
    assert torch.equal(ours, theirs)
    assert ours.is_contiguous(memory_format=torch.channels_last)
