"""What a view's pixels become: brightness, contrast, saturation, hue, gray, stroke, blur.

Shapes: B batch, H height, W width, C channels, K numbers.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn import functional

if TYPE_CHECKING:
    from exemplar_training.self_supervised.domains import Domain

# What the K numbers of an image decide, in this order.
_JITTER, _BRIGHTNESS, _CONTRAST, _SATURATION, _HUE, _GRAY, _STROKE, _BLUR, _SIGMA = range(9)
COLOR_NUMBERS = 9
BLURRED_SIDE = 64  # the least side that is blurred
_LEAST_SIGMA, _MOST_SIGMA = 0.1, 2.0  # pixels of a 224 x 224 image, as SimCLR's appendix A has it
_SIGMA_SIDE = 224
# ITU-R BT.601: how bright red, green and blue are.
_BRIGHT = (0.299, 0.587, 0.114)


def recolored(image_BHWC: Tensor, uniform_BK: Tensor, domain: Domain) -> Tensor:
    """The images varied as `domain` allows, float32 in 0..255."""
    result = _jittered(image_BHWC, uniform_BK, domain)
    if domain.gray_share:
        is_gray_B = uniform_BK[:, _GRAY] < domain.gray_share
        result = torch.where(_wide(is_gray_B), _gray(result).expand_as(result), result)
    if domain.stroke:
        result = _stroked(result, domain.stroke * (2 * uniform_BK[:, _STROKE] - 1))
    if domain.blur_share and image_BHWC.shape[1] >= BLURRED_SIDE:
        is_blurred_B = uniform_BK[:, _BLUR] < domain.blur_share
        result = torch.where(_wide(is_blurred_B), _blurred(result, uniform_BK[:, _SIGMA]), result)
    return result.clamp(0, 255)


def _jittered(image_BHWC: Tensor, uniform_BK: Tensor, domain: Domain) -> Tensor:
    is_left_B = uniform_BK[:, _JITTER] >= domain.jitter_share
    numbers = uniform_BK[:, [_BRIGHTNESS, _CONTRAST, _SATURATION]]
    strength = numbers.new_tensor((domain.brightness, domain.contrast, domain.saturation))
    factor_B3 = 1 + strength * (2 * numbers - 1)
    brightness, contrast, saturation = (_wide(each) for each in factor_B3.unbind(1))
    bright = image_BHWC * brightness
    mean = _gray(bright).mean(dim=(1, 2, 3), keepdim=True)
    varied = mean + contrast * (bright - mean)
    gray = _gray(varied)
    varied = gray + saturation * (varied - gray)
    if domain.hue:
        varied = _hued(varied, 2 * math.pi * domain.hue * (2 * uniform_BK[:, _HUE] - 1))
    return torch.where(_wide(is_left_B), image_BHWC, varied)


def _hued(image_BHWC: Tensor, angle_B: Tensor) -> Tensor:
    """Colors turned around the axis of grays; what is gray stays."""
    red, green, blue = image_BHWC.unbind(-1)
    cosine, sine = angle_B.cos()[:, None, None], angle_B.sin()[:, None, None]
    mean = (red + green + blue) / 3
    root = 1 / math.sqrt(3)
    # Rodrigues' formula for the axis (1, 1, 1).
    turned = [
        mean + cosine * (one - mean) + sine * root * (after - before)
        for one, before, after in ((red, green, blue), (green, blue, red), (blue, red, green))
    ]
    return torch.stack(turned, dim=-1)


def _stroked(image_BHWC: Tensor, weight_B: Tensor) -> Tensor:
    """Bright parts wider where the weight is above 0, dark ones where it is below: -1..1."""
    image_BCHW = image_BHWC.permute(0, 3, 1, 2)
    bright = functional.max_pool2d(image_BCHW, 3, stride=1, padding=1)
    dark = -functional.max_pool2d(-image_BCHW, 3, stride=1, padding=1)
    weight = _wide(weight_B)
    mixed = image_BCHW + torch.where(weight > 0, bright - image_BCHW, image_BCHW - dark) * weight
    return mixed.permute(0, 2, 3, 1)


def _blurred(image_BHWC: Tensor, uniform_B: Tensor) -> Tensor:
    """A Gaussian of each image's own width, one axis after the other."""
    batch, side, _, channels = image_BHWC.shape
    scale = side / _SIGMA_SIDE
    sigma_B = scale * (_LEAST_SIGMA + (_MOST_SIGMA - _LEAST_SIGMA) * uniform_B)
    reach = max(1, math.ceil(2 * _MOST_SIGMA * scale))
    offset_R = torch.arange(-reach, reach + 1, device=uniform_B.device)
    kernel_BR = torch.softmax(-((offset_R / sigma_B[:, None]) ** 2) / 2, dim=1)
    kernel = kernel_BR.repeat_interleave(channels, dim=0)[:, None, None]
    rows = image_BHWC.permute(0, 3, 1, 2).reshape(1, batch * channels, side, side)
    for weights, padding in ((kernel, (reach, reach, 0, 0)), (kernel.mT, (0, 0, reach, reach))):
        padded = functional.pad(rows, padding, mode="replicate")
        rows = functional.conv2d(padded, weights, groups=batch * channels)
    return rows.reshape(batch, channels, side, side).permute(0, 2, 3, 1)


def _gray(image_BHWC: Tensor) -> Tensor:
    return (image_BHWC * image_BHWC.new_tensor(_BRIGHT)).sum(dim=3, keepdim=True)


def _wide(value_B: Tensor) -> Tensor:
    return value_B[:, None, None, None]
