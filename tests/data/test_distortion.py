"""Training distortion and capture conditions: exact at zero strength, fixed by seed, different per image."""

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from synthetic_glyphs import synthetic_glyphs

from bctlib.base.errors import BctError
from bctlib.base.share import Share
from bctlib.data import distortion
from bctlib.data.distortion import CAPTURE_CONDITIONS, TrainingDistortion, capture, normalise


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


@pytest.fixture(scope="module")
def glyph_images():
    return torch.from_numpy(synthetic_glyphs(missing=0).images[:, 0])


def dot(side=28, row=14, column=20):
    image = np.zeros((1, side, side), dtype=np.uint8)
    image[0, row, column] = 255
    return image


def centre_of_ink(image):
    """(x, y) in pixels from the centre, y down."""
    ink = image.astype(float)
    places = np.arange(len(ink)) - (len(ink) - 1) / 2
    return (ink.sum(0) @ places) / ink.sum(), (ink.sum(1) @ places) / ink.sum()


def test_normalise_maps_paper_to_minus_one_and_ink_to_one():
    images = torch.tensor([[[0, 255], [51, 204]]], dtype=torch.uint8)
    expected = torch.tensor([[[[-1.0, 1.0], [-0.6, 0.6]]]])
    torch.testing.assert_close(normalise(images), expected)
    torch.testing.assert_close(normalise(images.unsqueeze(1)), expected)


def test_zero_strength_is_the_evaluation_transform(glyph_images):
    out = TrainingDistortion(0, 0, (1, 1), 0, (1, 1), 0, 0)(glyph_images, generator())
    torch.testing.assert_close(out, normalise(glyph_images), atol=1e-5, rtol=0)


def test_generator_state_decides(glyph_images):
    distort = TrainingDistortion()
    first, again, other = (distort(glyph_images, generator(seed)) for seed in (5, 5, 6))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    running = generator(5)
    assert torch.equal(distort(glyph_images, running), first)
    assert not torch.equal(distort(glyph_images, running), first)


def test_each_image_of_a_batch_is_distorted_differently(glyph_images):
    same = glyph_images[:1].repeat(6, 1, 1)
    for strength in (
        {"rotation": 10.0}, {"shear": 0.1}, {"scale": (0.8, 1.2)}, {"shift": 0.1}, {"contrast": (0.5, 1.5)},
        {"brightness": 0.2}, {"noise": 0.1},
    ):  # fmt: skip
        still = {
            "rotation": 0,
            "shear": 0,
            "scale": (1, 1),
            "shift": 0,
            "contrast": (1, 1),
            "brightness": 0,
            "noise": 0,
        }
        out = TrainingDistortion(**{**still, **strength})(same, generator())
        assert all(not torch.equal(out[i], out[j]) for i in range(6) for j in range(i)), strength


def test_output_form_and_range(glyph_images):
    distort = TrainingDistortion()
    out = distort(glyph_images, generator())
    assert out.shape == (len(glyph_images), 1, 16, 16) and out.dtype == torch.float32
    assert torch.equal(out, distort(glyph_images.unsqueeze(1), generator()))
    # Contrast up to 1.2 and brightness up to 0.1 reach 1.3; noise of 0.1 goes six standard deviations further at most.
    assert out.abs().max() < 1.3 + 0.6
    assert (out > 0).any() and (out < 0).any()


def test_affine_agrees_with_torch_and_moves_the_way_it_says():
    theta = distortion._affine(
        torch.tensor([0.2, -0.1]),
        torch.tensor([0.1, 0.0]),
        torch.tensor([0.9, 1.1]),
        torch.tensor([[0.1, 0], [0, -0.2]]),
    )
    images = torch.rand(2, 1, 12, 12, generator=generator())
    grid = F.affine_grid(theta, (2, 1, 12, 12), align_corners=False)
    torch.testing.assert_close(distortion._warp(images, theta), F.grid_sample(images, grid, align_corners=False))

    def moved(**changed):
        parameters = {**distortion._still(torch.zeros(1)), **changed}
        image = torch.from_numpy(dot()).float().unsqueeze(1)
        return centre_of_ink(distortion._warp(image, distortion._affine(**parameters))[0, 0].numpy())

    x, y = centre_of_ink(dot()[0])  # to the right of the centre, half a pixel below it
    assert moved() == pytest.approx((x, y), abs=1e-3)
    assert moved(shift=torch.tensor([[-0.25, 0.25]])) == pytest.approx((x - 7, y + 7), abs=1e-3)
    assert moved(scale=torch.tensor([1.5]))[0] == pytest.approx(1.5 * x, abs=0.4)
    turned = moved(rotation=torch.tensor([math.pi / 2]))
    assert math.hypot(*turned) == pytest.approx(math.hypot(x, y), abs=0.1) and abs(turned[0]) < 1


def test_large_batches_reuse_noise_without_repeating_images(monkeypatch):
    monkeypatch.setattr(distortion, "_NOISE_BANK", 1000)
    noise = distortion._noise(Share.whole(50), 16, generator(), torch.device("cpu"))
    assert noise.shape == (50, 1, 16, 16)
    assert abs(noise.mean()) < 0.2 and abs(noise.std() - 1) < 0.1
    assert len(torch.unique(noise.flatten(1), dim=0)) > 40


@pytest.mark.parametrize(
    "magnitude", [{"rotation": -1}, {"noise": -0.1}, {"scale": (0, 1)}, {"scale": (1.2, 0.8)}, {"contrast": (-1, 1)}]
)
def test_magnitudes_without_sense_are_refused(magnitude):
    with pytest.raises(BctError, match=next(iter(magnitude))):
        TrainingDistortion(**magnitude)


@pytest.mark.parametrize(
    "images",
    [torch.zeros(2, 8, 8), torch.zeros(2, 3, 8, 8, dtype=torch.uint8), torch.zeros(2, 8, 9, dtype=torch.uint8)],
)
def test_wrong_images_are_refused(images):
    with pytest.raises(BctError, match="expected"):
        normalise(images)


def test_capture_is_fixed_by_its_seed_and_changes_every_image(glyph_images):
    images = glyph_images.numpy()
    condition = np.arange(len(images)) % len(CAPTURE_CONDITIONS)
    first = capture(images, condition, seed=1)
    assert first.dtype == np.uint8 and first.shape == images.shape
    assert np.array_equal(first, capture(images, condition, seed=1))
    assert not np.array_equal(first, capture(images, condition, seed=2))
    assert all((first[i] != images[i]).any() for i in range(len(images)))


def test_each_condition_does_what_its_name_says():
    names = [rule.name for rule in CAPTURE_CONDITIONS]
    assert len(set(names)) == len(names) == 8
    disc = (np.hypot(*np.mgrid[-13.5:14, -13.5:14]) < 8).astype(np.uint8)[None] * 255

    def after(name, image=disc):
        return capture(image, np.array([names.index(name)]), seed=3)[0].astype(float)

    assert math.hypot(*centre_of_ink(after("shift"))) > 1
    rule = {each.name: each for each in CAPTURE_CONDITIONS}
    assert rule["scale"].least ** 2 * 0.95 < after("scale").sum() / disc.sum() < rule["scale"].most ** 2 * 1.05
    assert after("blur").sum() == pytest.approx(disc.sum(), rel=0.02) and 100 < after("blur").max() <= 255
    assert rule["contrast"].least * 255 - 1 <= np.ptp(after("contrast")) <= rule["contrast"].most * 255 + 1
    assert after("noise").std() > disc.std() * 0.8 and len(np.unique(after("noise"))) > 50
    shaded = after("shading")
    assert shaded[shaded < 255].max() > 50 and (shaded[disc[0] == 255] == 255).all()
    for name in ("rotation", "shear"):
        bar = np.zeros((1, 28, 28), dtype=np.uint8)
        bar[0, 4:24, 12:16] = 255
        top, bottom = after(name, bar)[5:8], after(name, bar)[20:23]
        columns = np.arange(28)
        across = abs((top.sum(0) @ columns) / top.sum() - (bottom.sum(0) @ columns) / bottom.sum())
        slope = {"rotation": math.tan(math.radians(rule["rotation"].least)), "shear": rule["shear"].least}[name]
        assert across > 0.95 * 15 * slope  # the two parts are 15 rows apart


@pytest.mark.parametrize("condition", [np.array([0]), np.array([0, 8]), np.array([0, -1]), np.array([0.0, 1.0])])
def test_capture_refuses_bad_conditions(condition):
    with pytest.raises(BctError, match="condition"):
        capture(np.zeros((2, 8, 8), dtype=np.uint8), condition, seed=0)
