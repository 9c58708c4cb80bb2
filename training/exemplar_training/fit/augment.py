"""Augmentation of uint8 batches on their device, each image by its own uniform numbers.

Shapes: B batch, H height, W width, C channels, K numbers.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn import functional

if TYPE_CHECKING:
    from exemplar_training.config import AugmentConfig
    from exemplar_training.fit.method import Batch

# What the K numbers of an image decide, in this order. Of the first each binary digit is as good as
# a number: the first decides on the flip, the second on the inversion, two more on the turn.
_FLIP, _AREA, _ASPECT, _TOP, _LEFT, _BRIGHTNESS, _CONTRAST, _SATURATION = range(8)
NUMBERS = 8
TURNS = 4
_LEAST_LOG_ASPECT, _MOST_LOG_ASPECT = -0.2876821, 0.2876821  # log(3 / 4) and log(4 / 3)
# ITU-R BT.601: how bright red, green and blue are.
_GRAY = (0.299, 0.587, 0.114)


def augmented(image_BHWC: Tensor, uniform_BK: Tensor, config: AugmentConfig) -> Tensor:
    """The images varied as `config` says, uint8 (B, H, W, C): crop, flip, color, inversion."""
    result = image_BHWC
    if config.crop < 1:
        result = _cropped(result, uniform_BK, config.crop)
    if config.flip:
        is_flipped = (uniform_BK[:, _FLIP] < 0.5)[:, None, None, None]  # noqa: PLR2004 - half
        result = torch.where(is_flipped, result.flip(2), result)
    if config.color:
        result = _colored(result, uniform_BK, config.color)
    if config.invert:
        is_inverted = (uniform_BK[:, _FLIP] % 0.5 < 0.25)[:, None, None, None]  # noqa: PLR2004 - half
        result = torch.where(is_inverted, 255 - result, result)
    return result


def turned(batch: Batch, class_count: int) -> Batch:
    """The images turned by 0..3 quarters, each of a class that is `class_count` more a quarter.

    Lee, Hwang & Shin 2020, https://arxiv.org/abs/1910.05872, section 3: with more classes to tell
    apart, a backbone learns what tells yet others apart.
    """
    turn_B = (batch.uniform_BK[:, _FLIP] * 4 % 1 * TURNS).to(torch.int64)
    image_BHWC = batch.image_BHWC.clone()
    for turn in range(1, TURNS):
        is_it_B = turn_B == turn
        image_BHWC[is_it_B] = image_BHWC[is_it_B].rot90(turn, (1, 2))
    return replace(
        batch, image_BHWC=image_BHWC, class_ids_B=batch.class_ids_B + class_count * turn_B
    )


def _cropped(image_BHWC: Tensor, uniform_BK: Tensor, least_area: float) -> Tensor:
    """A box of `least_area`..1 of the area and 3:4..4:3 wide to high, resized to the whole.

    As Szegedy et al. 2015 (https://arxiv.org/abs/1409.4842, section 6); a box that would be wider
    or higher than the image is cut to it. Bilinear, without antialias.
    """
    area_B = least_area + (1 - least_area) * uniform_BK[:, _AREA]
    span = _MOST_LOG_ASPECT - _LEAST_LOG_ASPECT
    root_aspect_B = ((_LEAST_LOG_ASPECT + span * uniform_BK[:, _ASPECT]) / 2).exp()
    width_B = (area_B.sqrt() * root_aspect_B).clamp_max(1)
    height_B = (area_B.sqrt() / root_aspect_B).clamp_max(1)
    # The center of the box in grid_sample's coordinates, where the image is -1..1.
    x_B = (1 - width_B) * (2 * uniform_BK[:, _LEFT] - 1)
    y_B = (1 - height_B) * (2 * uniform_BK[:, _TOP] - 1)
    none_B = torch.zeros_like(x_B)
    rows = [width_B, none_B, x_B, none_B, height_B, y_B]
    theta_B23 = torch.stack(rows, dim=1).reshape(-1, 2, 3)
    image_BCHW = image_BHWC.permute(0, 3, 1, 2).to(torch.float32)
    grid = functional.affine_grid(theta_B23, list(image_BCHW.shape), align_corners=False)
    crop_BCHW = functional.grid_sample(
        image_BCHW, grid, mode="bilinear", padding_mode="border", align_corners=False
    )
    return _as_pixels(crop_BCHW.permute(0, 2, 3, 1))


def _colored(image_BHWC: Tensor, uniform_BK: Tensor, strength: float) -> Tensor:
    """Brightness, contrast and saturation, each times 1 - strength .. 1 + strength."""
    numbers = uniform_BK[:, [_BRIGHTNESS, _CONTRAST, _SATURATION]]
    factor_B3 = 1 + strength * (2 * numbers - 1)
    brightness, contrast, saturation = (each[:, None, None, None] for each in factor_B3.unbind(1))
    bright = image_BHWC.to(torch.float32) * brightness
    gray = (bright * bright.new_tensor(_GRAY)).sum(dim=3, keepdim=True)
    mean = gray.mean(dim=(1, 2, 3), keepdim=True)
    saturated = gray + saturation * (bright - gray)
    return _as_pixels(mean + contrast * (saturated - mean))


def _as_pixels(image_BHWC: Tensor) -> Tensor:
    return image_BHWC.round().clamp(0, 255).to(torch.uint8)
