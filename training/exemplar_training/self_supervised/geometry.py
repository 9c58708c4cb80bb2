"""Where a view looks: a box, turned, sheared, mirrored; one sampling for each batch.

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
_AREA, _ASPECT, _TOP, _LEFT, _ANGLE, _SHEAR, _MIRROR, _TURN = range(8)
GEOMETRY_NUMBERS = 8
_QUARTERS = 4


def looked_at(image_BHWC: Tensor, uniform_BK: Tensor, domain: Domain, side: int) -> Tensor:
    """Float32 (B, side, side, C) in 0..255; a smaller side is shrunk with antialias."""
    image_BCHW = image_BHWC.permute(0, 3, 1, 2).to(torch.float32)
    theta_B23 = boxes(uniform_BK, domain)
    grid_BHW2 = functional.affine_grid(theta_B23, list(image_BCHW.shape), align_corners=False)
    seen_BCHW = functional.grid_sample(
        image_BCHW, grid_BHW2, mode="bilinear", padding_mode=domain.padding, align_corners=False
    )
    if side < seen_BCHW.shape[-1]:
        seen_BCHW = functional.interpolate(seen_BCHW, (side, side), mode="bilinear", antialias=True)
    return seen_BCHW.permute(0, 2, 3, 1)


def boxes(uniform_BK: Tensor, domain: Domain) -> Tensor:
    """Where each point of a view lies in its image, (B, 2, 3); an image is -1..1 both ways.

    Aspect ratios are spread evenly in their logarithm, as Szegedy et al. 2015
    (https://arxiv.org/abs/1409.4842, section 6) and torchvision have it.
    """
    area_B = domain.least_area + (domain.most_area - domain.least_area) * uniform_BK[:, _AREA]
    root_aspect_B = (_signed(uniform_BK[:, _ASPECT]) * math.log(domain.aspect) / 2).exp()
    width_B, height_B = area_B.sqrt() * root_aspect_B, area_B.sqrt() / root_aspect_B
    if domain.most_area <= 1:
        width_B, height_B = width_B.clamp_max(1), height_B.clamp_max(1)
    size_B2 = torch.stack([width_B, height_B], dim=1)
    # The box lies inside the image, or the image inside the box.
    center_B2 = (1 - size_B2) * _signed(uniform_BK[:, [_LEFT, _TOP]])
    turned_B22 = _turns(uniform_BK, domain)
    return torch.cat([size_B2[:, :, None] * turned_B22, center_B2[:, :, None]], dim=2)


def _turns(uniform_BK: Tensor, domain: Domain) -> Tensor:
    """Rotation after shear after mirroring, (B, 2, 2)."""
    angle_B = math.radians(domain.angle_degrees) * _signed(uniform_BK[:, _ANGLE])
    if domain.is_turned:
        quarter_B = (uniform_BK[:, _TURN] * _QUARTERS).floor()
        angle_B = angle_B + math.pi / 2 * quarter_B
    cosine_B, sine_B = angle_B.cos(), angle_B.sin()
    one_B, none_B = torch.ones_like(angle_B), torch.zeros_like(angle_B)
    is_mirrored_B = (uniform_BK[:, _MIRROR] < 0.5) & domain.is_mirrored  # noqa: PLR2004 - half
    mirror_B = torch.where(is_mirrored_B, -one_B, one_B)
    rotation = _matrices(cosine_B, -sine_B, sine_B, cosine_B)
    shear = _matrices(one_B, domain.shear * _signed(uniform_BK[:, _SHEAR]), none_B, one_B)
    # Written out: under autocast a matrix product would have 8 bits.
    sheared = (rotation[:, :, :, None] * shear[:, None]).sum(2)
    return sheared * torch.stack([mirror_B, one_B], dim=1)[:, None]


def _matrices(a_B: Tensor, b_B: Tensor, c_B: Tensor, d_B: Tensor) -> Tensor:
    return torch.stack([a_B, b_B, c_B, d_B], dim=1).reshape(-1, 2, 2)


def _signed(uniform: Tensor) -> Tensor:
    return 2 * uniform - 1
