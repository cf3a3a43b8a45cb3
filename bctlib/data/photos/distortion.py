"""Random distortion of colour photographs for training: misalignment and colour (paper Sec. 3.2).

The paper names both without magnitudes; the defaults are ours. All functions take whole batches, with one set of random
numbers per image from a CPU generator: one seed gives the same distortion on a CPU and on a GPU, for any number of
processes that read images or train on shares of a batch.
"""

import math
from dataclasses import dataclass, fields

import torch
import torch.nn.functional as F

from bctlib.base.errors import BctError
from bctlib.base.share import Share, to_device

# Shares of red, green and blue in the grey that saturation mixes with (ITU-R BT.601).
_LUMA = (0.299, 0.587, 0.114)


def _check(images: torch.Tensor) -> None:
    if images.dtype != torch.uint8 or images.dim() != 4 or images.shape[1] != 3:
        raise BctError(f"images are {images.dtype} {tuple(images.shape)}, expected torch.uint8 [N,3,H,W]")


def normalise_colour(images: torch.Tensor) -> torch.Tensor:
    """The evaluation transform: uint8 [N,3,H,W] to float32 `(x / 255 - 0.5) / 0.5`, not distorted. Raises BctError."""
    _check(images)
    return images.to(torch.float32).mul_(2 / 255).sub_(1)


@dataclass(frozen=True)
class ColourDistortion:
    """Every magnitude is the bound of a uniform distribution.

    Mis-alignment: rotation in degrees, either way; scale (least, most) factor; shift as a share of height and width,
    either way; mirror: probability of a left-right flip (the paper names none). Colour: brightness and tint, factors
    up to 1 + x and down to 1 - x, for the image and for each channel; contrast about mid-grey and saturation, (least,
    most) factors. What a warp uncovers is black, as beyond the border of an aligned face.

    Raises BctError for a magnitude that makes no sense and for images that are not uint8 [N,3,H,W].
    """

    rotation: float = 5.0
    scale: tuple[float, float] = (0.95, 1.05)
    shift: float = 0.03
    mirror: float = 0.0
    brightness: float = 0.2
    contrast: tuple[float, float] = (0.8, 1.2)
    saturation: tuple[float, float] = (0.7, 1.3)
    tint: float = 0.05

    def __post_init__(self):
        for field in fields(self):
            value = getattr(self, field.name)
            if isinstance(value, list | tuple):
                if len(value) != 2 or not 0 < value[0] <= value[1]:
                    raise BctError(f"colour distortion: {field.name} is {value}, expected 0 < least <= most")
            elif value < 0 or (field.name not in ("rotation", "shift") and value > 1):
                raise BctError(f"colour distortion: {field.name} is {value}, expected 0 or more (a share: up to 1)")

    @torch.no_grad()
    def __call__(self, images: torch.Tensor, generator: torch.Generator, share: Share | None = None) -> torch.Tensor:
        """uint8 [N,3,H,W] on any device to float32 [N,3,H,W] on the same device, in [-1, 1].

        `generator` is a CPU generator; its state alone decides the distortion. share: which part of a larger batch
        the images are, by default all of it.
        """
        _check(images)
        share = share or Share.whole(len(images))
        uniform = share.of(torch.rand(share.total, 11, generator=generator))
        out = images.to(torch.float32).mul_(1 / 255)
        if self.rotation or self.shift or self.mirror or tuple(self.scale) != (1.0, 1.0):
            out = _warp(out, to_device(self._inverse(uniform, *images.shape[2:]), out.device))
        return self._recolour(out, uniform[:, 5:]).clamp_(0, 1).mul_(2).sub_(1)

    def _inverse(self, uniform: torch.Tensor, height: int, width: int) -> torch.Tensor:
        """[N,2,3] from output to input, both in pixels from the centre of the image."""
        signed = uniform * 2 - 1
        angle = signed[:, 0] * math.radians(self.rotation)
        scale = self.scale[0] + uniform[:, 1] * (self.scale[1] - self.scale[0])
        shift = signed[:, 2:4] * self.shift * torch.tensor([width, height])
        side = 1 - 2 * (uniform[:, 4] < self.mirror).float()
        cos, sin = torch.cos(angle) / scale, torch.sin(angle) / scale
        # side * inv(rotation) * inv(scale) * (p - shift): the flip comes last, it acts on input coordinates
        rows = torch.stack([side * cos, side * sin, -sin, cos], dim=1).view(-1, 2, 2)
        return torch.cat([rows, -(rows * shift[:, None, :]).sum(2, keepdim=True)], dim=2)

    def _recolour(self, images: torch.Tensor, uniform: torch.Tensor) -> torch.Tensor:
        """float32 [N,3,H,W] in [0,1]; uniform [N,6]."""
        factors = (1 + (uniform * 2 - 1) * self.brightness)[:, :1]
        factors = factors * (1 + (uniform[:, 3:6] * 2 - 1) * self.tint)
        contrast = (self.contrast[0] + uniform[:, 1] * (self.contrast[1] - self.contrast[0]))[:, None]
        saturation = (self.saturation[0] + uniform[:, 2] * (self.saturation[1] - self.saturation[0]))[:, None]
        luma = to_device(torch.tensor(_LUMA), images.device).view(1, 3, 1, 1)
        grey = (images * luma).sum(1, keepdim=True)
        # One multiplication and one addition per pixel: gain * (s x + (1 - s) grey) + level.
        gain = factors * contrast
        weights = [to_device(t[:, :, None, None], images.device) for t in (gain * saturation, gain * (1 - saturation))]
        level = to_device((0.5 * (1 - contrast))[:, :, None, None], images.device)
        return torch.addcmul(level, images, weights[0]).addcmul_(grey, weights[1])


def _warp(images: torch.Tensor, inverse: torch.Tensor) -> torch.Tensor:
    """Bilinear resampling of [N,3,H,W]; black outside. inverse: [N,2,3], output to input, in pixels from the centre."""
    n, _, height, width = images.shape
    x = torch.arange(width, device=images.device) - (width - 1) / 2
    y = torch.arange(height, device=images.device) - (height - 1) / 2
    grid = torch.empty(n, height, width, 2, device=images.device)
    for axis, side in ((0, width), (1, height)):
        along_x = inverse[:, axis, 0, None] * x + inverse[:, axis, 2, None]
        along_y = inverse[:, axis, 1, None] * y
        torch.add(along_x[:, None, :], along_y[:, :, None], out=grid[..., axis])
        grid[..., axis] *= 2 / side
    return F.grid_sample(images, grid, mode="bilinear", padding_mode="zeros", align_corners=False)
