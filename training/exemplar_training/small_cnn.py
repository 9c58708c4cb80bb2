"""The small backbone: four blocks, trained from nothing in a minute on two cores.

The "Conv-4" of few-shot learning (Vinyals et al. 2016, https://arxiv.org/abs/1606.04080, section
4.1), with the last block as wide as the embedding and a global mean where it flattens.
Shapes: B batch, C channels, H height, W width, D dim.
"""

from __future__ import annotations

import itertools

import torch
from torch import Tensor, nn

from exemplar_training import weights
from exemplar_training.backbones import Backbone, spec_of
from exemplar_training.errors import UnknownBackboneError

NAME = "small_cnn"
INPUT_SIZES = (32, 64)
DIMS = (64, 256)  # least and most
_INPUT_SIZE, _DIM = 32, 128
_WIDTH = 64
_GRAY = (127.5, 127.5, 127.5)  # half of 255: pixels come as -1..1


def small_cnn(input_size: int = _INPUT_SIZE, dim: int = _DIM, seed: int = 0) -> Backbone:
    """An untrained backbone in evaluation mode; equal seeds give equal weights.

    Raises:
        UnknownBackboneError: `input_size` is not 32 or 64, or `dim` not 64..256.
    """
    if input_size not in INPUT_SIZES:
        raise UnknownBackboneError(f"small_cnn: input_size: expected 32 or 64, got {input_size}")
    if not DIMS[0] <= dim <= DIMS[1]:
        raise UnknownBackboneError(f"small_cnn: dim: expected {DIMS[0]}..{DIMS[1]}, got {dim}")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        trunk = _Trunk(dim).eval()
    spec = spec_of(weights.UNTRAINED, name=NAME, input_size=input_size, mean=_GRAY, std=_GRAY)
    return Backbone(spec, trunk, classifier=None)


class _Block(nn.Module):
    """Half the height and width, `channels` wide, values >= 0."""

    def __init__(self, channels_before: int, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels_before, channels, 3, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(channels)

    def forward(self, image_BCHW: Tensor) -> Tensor:
        return nn.functional.max_pool2d(self.norm(self.conv(image_BCHW)).relu(), 2)


class _Trunk(nn.Module):
    """(B, 3, H, W) -> (B, D), values >= 0."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        widths = (3, _WIDTH, _WIDTH, _WIDTH, dim)
        pairs = itertools.pairwise(widths)
        self.blocks = nn.Sequential(*(_Block(before, after) for before, after in pairs))

    def forward(self, image_BCHW: Tensor) -> Tensor:
        embedding_BD: Tensor = self.blocks(image_BCHW).mean([2, 3])
        return embedding_BD
