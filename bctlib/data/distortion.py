"""Distortion of glyph images: random for training, by named capture conditions for evaluation.

Images are uint8, 0 = paper and 255 = ink. A network receives float32 `(ink / 255 - 0.5) / 0.5`: paper -1, ink +1. All
functions take whole batches. Random numbers come from a CPU generator, so one seed gives the same distortion on a CPU
and on a GPU. A process with a share of a batch draws them for the whole batch, so the number of processes does not
change how an image is distorted.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, fields

import numpy as np
import torch
import torch.nn.functional as F

from bctlib.base.errors import BctError
from bctlib.base.share import Share, to_device

# Largest number of normal deviates drawn for one batch; a larger batch reuses them at random offsets. Drawing is
# serial work on the CPU: this keeps it below a millisecond however large the images and the batch are.
_NOISE_BANK = 1 << 17


def _as_batch(images: torch.Tensor) -> torch.Tensor:
    """uint8 [N,S,S] or [N,1,S,S] as [N,1,S,S], not copied."""
    if images.dtype != torch.uint8:
        raise BctError(f"images have dtype {images.dtype}, expected torch.uint8 (0 = paper, 255 = ink)")
    batch = images.unsqueeze(1) if images.dim() == 3 else images
    if batch.dim() != 4 or batch.shape[1] != 1 or batch.shape[2] != batch.shape[3]:
        raise BctError(f"images have shape {tuple(images.shape)}, expected [N,S,S] or [N,1,S,S]")
    return batch


def normalise(images: torch.Tensor) -> torch.Tensor:
    """The evaluation transform: uint8 [N,S,S] or [N,1,S,S] to float32 [N,1,S,S] in [-1, 1], not distorted."""
    return _as_batch(images).to(torch.float32).mul_(2 / 255).sub_(1)


def _affine(rotation: torch.Tensor, shear: torch.Tensor, scale: torch.Tensor, shift: torch.Tensor) -> torch.Tensor:
    """[N,2,3] matrices from output to input coordinates, both in [-1, 1].

    rotation [N] in radians, shear [N] (horizontal share of the height), scale [N] (> 1 enlarges the glyph),
    shift [N,2] as a share of the side (x to the right, y down).
    """
    cos, sin = torch.cos(rotation) / scale, torch.sin(rotation) / scale
    # The input point of an output point p is  inv(rotation) inv(scale) shear (p - shift).
    rows = torch.stack([cos, cos * shear + sin, -sin, cos - sin * shear], dim=1).view(-1, 2, 2)
    offset = -(rows * (2 * shift)[:, None, :]).sum(2, keepdim=True)
    return torch.cat([rows, offset], dim=2)


def _warp(images: torch.Tensor, theta: torch.Tensor) -> torch.Tensor:
    """Bilinear resampling of float32 [N,1,S,S]; what lies outside is paper (0).

    The grid is written out instead of calling `affine_grid`: five times faster on a CPU, and without a matrix product
    that autocast or TF32 would round.
    """
    n, _, side, _ = images.shape
    centres = (torch.arange(side, device=images.device, dtype=torch.float32) * 2 + 1) / side - 1
    along_x = theta[:, :, 0, None] * centres
    along_y = theta[:, :, 1, None] * centres + theta[:, :, 2, None]
    grid = torch.empty(n, side, side, 2, device=images.device)
    for axis in (0, 1):
        torch.add(along_x[:, axis, None, :], along_y[:, axis, :, None], out=grid[..., axis])
    return F.grid_sample(images, grid, mode="bilinear", padding_mode="zeros", align_corners=False)


def _noise(share: Share, side: int, generator: torch.Generator, device: torch.device) -> torch.Tensor:
    """Standard normal float32 [n,1,side,side] of a share's n images, on `device`, from a CPU generator."""
    pixels = side * side
    if share.total * pixels <= _NOISE_BANK:
        return to_device(share.of(torch.randn(share.total, 1, side, side, generator=generator)), device)
    bank = to_device(torch.randn(_NOISE_BANK + pixels, generator=generator), device)
    start = to_device(share.of(torch.randint(0, _NOISE_BANK, (share.total,), generator=generator)), device)
    return bank.unfold(0, pixels, 1)[start].view(-1, 1, side, side)


@dataclass(frozen=True)
class TrainingDistortion:
    """Random distortion of a training batch; every magnitude but `noise` is the bound of a uniform distribution.

    rotation: degrees, either way. shear: horizontal share of the height, either way. scale: (least, most) factor.
    shift: share of the side, either way, along each axis. contrast: (least, most) factor about mid-grey.
    brightness: either way, in units of the normalised range [-1, 1]. noise: standard deviation in the same units.
    docs/data.md has the ranges. The defaults are moderate: short training learns nothing under strong distortion.

    Raises BctError for a magnitude that makes no sense and for images that are not uint8 [N,S,S] or [N,1,S,S].
    """

    rotation: float = 10.0
    shear: float = 0.1
    scale: tuple[float, float] = (0.85, 1.15)
    shift: float = 0.08
    contrast: tuple[float, float] = (0.6, 1.2)
    brightness: float = 0.1
    noise: float = 0.1

    def __post_init__(self):
        for field in fields(self):
            value = getattr(self, field.name)
            if field.name in ("scale", "contrast"):
                if not 0 < value[0] <= value[1]:
                    raise BctError(f"training distortion: {field.name} is {value}, expected 0 < least <= most")
            elif value < 0:
                raise BctError(f"training distortion: {field.name} is {value}, expected 0 or more")

    @torch.no_grad()
    def __call__(self, images: torch.Tensor, generator: torch.Generator, share: Share | None = None) -> torch.Tensor:
        """uint8 [N,S,S] or [N,1,S,S] on any device to float32 [N,1,S,S] on the same device, about [-1, 1].

        `generator` is a CPU generator; its state alone decides the distortion. share: which part of a larger batch
        the images are, by default all of it.
        """
        batch = _as_batch(images)
        n, device = len(batch), batch.device
        share = share or Share.whole(n)
        uniform = share.of(torch.rand(share.total, 7, generator=generator))
        signed = uniform[:, :5] * 2 - 1
        least, most = self.scale
        theta = _affine(
            rotation=signed[:, 0] * math.radians(self.rotation),
            shear=signed[:, 1] * self.shear,
            scale=least + uniform[:, 5] * (most - least),
            shift=signed[:, 2:4] * self.shift,
        )
        least, most = self.contrast
        contrast = least + uniform[:, 6] * (most - least)
        brightness = signed[:, 4] * self.brightness
        # With x in [0, 255]: contrast * (x * 2 / 255 - 1) + brightness, as one multiplication and one addition.
        gain = to_device((contrast * (2 / 255)).view(n, 1, 1, 1), device)
        level = to_device((brightness - contrast).view(n, 1, 1, 1), device)
        out = _warp(batch.to(torch.float32), to_device(theta, device)).mul_(gain).add_(level)
        if self.noise > 0:
            out.add_(_noise(share, batch.shape[-1], generator, device), alpha=self.noise)
        return out


@dataclass(frozen=True)
class CaptureCondition:
    """One way in which a capture is not ideal.

    The magnitude is uniform in [least, most]; `apply(images, magnitude, angle, generator)` takes float32 ink
    [n,1,S,S] in [0, 1], magnitude [n], angle [n] (radians, uniform over the circle) and returns the same shape.
    """

    name: str
    least: float
    most: float
    unit: str
    apply: Callable[[torch.Tensor, torch.Tensor, torch.Tensor, torch.Generator], torch.Tensor]


def _still(magnitude: torch.Tensor) -> dict[str, torch.Tensor]:
    """The parameters of `_affine` that move nothing."""
    zero = torch.zeros_like(magnitude)
    return {"rotation": zero, "shear": zero, "scale": zero + 1, "shift": torch.zeros(len(zero), 2)}


def _rotation(images, magnitude, angle, _generator):
    rotation = torch.deg2rad(magnitude) * torch.sign(math.pi - angle)
    return _warp(images, _affine(**{**_still(magnitude), "rotation": rotation}))


def _shear(images, magnitude, angle, _generator):
    return _warp(images, _affine(**{**_still(magnitude), "shear": magnitude * torch.sign(math.pi - angle)}))


def _shift(images, magnitude, angle, _generator):
    shift = magnitude[:, None] * torch.stack([torch.cos(angle), torch.sin(angle)], dim=1)
    return _warp(images, _affine(**{**_still(magnitude), "shift": shift}))


def _scale(images, magnitude, _angle, _generator):
    return _warp(images, _affine(**{**_still(magnitude), "scale": magnitude}))


def _blur(images, magnitude, _angle, _generator):
    n, _, side, _ = images.shape
    sigma = magnitude * side
    reach = max(1, math.ceil(3 * float(sigma.max())))
    steps = torch.arange(-reach, reach + 1, dtype=torch.float32)
    kernel = torch.exp(-0.5 * (steps / sigma[:, None]) ** 2)
    kernel = kernel / kernel.sum(1, keepdim=True)
    # One kernel per image: the batch becomes the channels of a grouped convolution.
    channels = images.view(1, n, side, side)
    channels = F.conv2d(channels, kernel.view(n, 1, 1, -1), padding=(0, reach), groups=n)
    return F.conv2d(channels, kernel.view(n, 1, -1, 1), padding=(reach, 0), groups=n).view(n, 1, side, side)


def _grain(images, magnitude, _angle, generator):
    return images + magnitude.view(-1, 1, 1, 1) * torch.randn(images.shape, generator=generator)


def _contrast(images, magnitude, _angle, _generator):
    # Faded ink on greyed paper: the range shrinks towards mid-grey.
    return 0.5 + (images - 0.5) * magnitude.view(-1, 1, 1, 1)


def _shading(images, magnitude, angle, _generator):
    # A shadow that deepens across the sheet: paper darkens towards ink along the direction of the angle.
    side = images.shape[-1]
    centres = (torch.arange(side, dtype=torch.float32) * 2 + 1) / side - 1
    across = torch.cos(angle).view(-1, 1, 1) * centres + torch.sin(angle).view(-1, 1, 1) * centres[:, None]
    depth = magnitude.view(-1, 1, 1) * (across / math.sqrt(2) + 1) / 2
    return 1 - (1 - images) * (1 - depth[:, None])


# Each range lies partly inside that of `TrainingDistortion` and partly beyond it, noise around its one value; blur and
# shading are in no training image. A test picture has one condition, a training picture all distortions at once.
CAPTURE_CONDITIONS: tuple[CaptureCondition, ...] = (
    CaptureCondition("rotation", 5.0, 15.0, "degrees, either way", _rotation),
    CaptureCondition("shear", 0.05, 0.20, "horizontal share of the height, either way", _shear),
    CaptureCondition("blur", 0.020, 0.035, "standard deviation as a share of the side", _blur),
    CaptureCondition("noise", 0.04, 0.14, "standard deviation as a share of the ink range", _grain),
    CaptureCondition("shift", 0.05, 0.12, "share of the side, any direction", _shift),
    CaptureCondition("scale", 0.75, 0.95, "factor", _scale),
    CaptureCondition("contrast", 0.40, 0.80, "factor about mid-grey", _contrast),
    CaptureCondition("shading", 0.30, 0.60, "share of the light lost in the darkest corner", _shading),
)


@torch.no_grad()
def capture(images: np.ndarray, condition: np.ndarray, seed: int) -> np.ndarray:
    """Images as an unconstrained capture would give them: uint8 [N,S,S] in and out, on the CPU.

    condition: int [N], index into CAPTURE_CONDITIONS, one condition per image. The magnitude is drawn per image;
    (images, condition, seed) decide the result. Raises BctError for a wrong shape or dtype and an unknown condition.
    """
    condition = np.asarray(condition)
    if images.dtype != np.uint8 or images.ndim != 3 or images.shape[1] != images.shape[2]:
        raise BctError(f"capture: images are {images.dtype} {images.shape}, expected uint8 [N,S,S]")
    if condition.shape != (len(images),) or not np.issubdtype(condition.dtype, np.integer):
        raise BctError(f"capture: condition is {condition.dtype} {condition.shape}, expected integers [{len(images)}]")
    if len(condition) and not 0 <= condition.min() <= condition.max() < len(CAPTURE_CONDITIONS):
        raise BctError(f"capture: condition must lie in 0..{len(CAPTURE_CONDITIONS) - 1}")
    generator = torch.Generator().manual_seed(int(seed))
    uniform = torch.rand(len(images), 2, generator=generator)
    captured = np.empty_like(images)
    for index, rule in enumerate(CAPTURE_CONDITIONS):
        chosen = np.flatnonzero(condition == index)
        # In blocks, so that working memory does not grow with the protocol.
        for block in np.array_split(chosen, max(1, -(-len(chosen) // 4096))):
            if len(block) == 0:
                continue
            ink = torch.from_numpy(images[block]).unsqueeze(1).to(torch.float32) / 255
            magnitude = rule.least + uniform[block, 0] * (rule.most - rule.least)
            ink = rule.apply(ink, magnitude, uniform[block, 1] * (2 * math.pi), generator)
            captured[block] = ink.clamp(0, 1).mul(255).round().to(torch.uint8).squeeze(1).numpy()
    return captured
