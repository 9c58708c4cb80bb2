"""CPC: from the patches above, which patch comes below?

Henaff et al. 2019, https://arxiv.org/abs/1905.09272, section 2.1, from top to bottom. BatchNorm
ties patches together, which harms CPC (section 4.1, where layer norm takes its place). A
backbone keeps its BatchNorm here, but each row of patches passes alone: its statistics know
nothing of the rows below. The candidates are patches of the target's own row, in all images, as
those have its statistics too.

Shapes: B images of this process, N of all, H height, W width, C channels, G rows and columns of
patches, D dim of z and c, P predictions, Q candidates.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional

from exemplar_training.embedder import Embedder
from exemplar_training.errors import ConfigError
from exemplar_training.fit.network import dim_of
from exemplar_training.self_supervised.color import COLOR_NUMBERS, recolored
from exemplar_training.self_supervised.domains import domain_of
from exemplar_training.self_supervised.geometry import GEOMETRY_NUMBERS, looked_at
from exemplar_training.self_supervised.method import Step
from exemplar_training.self_supervised.projected import Projected
from exemplar_training.self_supervised.views import as_pixels, side_of

if TYPE_CHECKING:
    from exemplar_training.backbones import Backbone
    from exemplar_training.config import RunConfig
    from exemplar_training.fit.distributed import World
    from exemplar_training.fit.method import Batch

# Patches lie half over each other: the row below shares pixels with the context, the next does not.
FIRST_ROWS_BELOW = 2


class Cpc:
    """A `Paper`: the patch encoder f, the context network g, and a matrix W_k for each distance."""

    def __init__(self, backbone: Backbone, config: RunConfig, world: World) -> None:
        """Raises ConfigError where a view has no 3 x 3 patches, or patches are too small."""
        self._world, self._domain = world, domain_of(config.views)
        self._side = side_of(config.views, backbone.spec.input_size)
        self._patch, self._rows = grid_of(config, backbone)
        dim = config.cpc.dim
        self._f = Projected(Embedder(backbone), nn.Linear(dim_of(backbone), dim))
        self._norm = nn.LayerNorm(dim)
        self._g = Context(dim, config.cpc.blocks)
        distances = range(FIRST_ROWS_BELOW, self._rows)
        self._w = nn.ModuleList(nn.Linear(dim, dim, bias=False) for _ in distances)
        children = {"embedder": self._f.embedder, "projector": self._f.projector}
        others = {"norm": self._norm, "context": self._g, "w": self._w}
        self._module = nn.ModuleDict({**children, **others})

    @property
    def module(self) -> nn.Module:
        return self._module

    @property
    def backbone(self) -> Embedder:
        return self._f.embedder

    def views(self, batch: Batch) -> tuple[Tensor, ...]:
        """The rows of patches, from above: uint8 (B * G, h, w, C) each, a patch its own colors."""
        uniform_BK = batch.uniform_BK
        seen_BHWC = looked_at(batch.image_BHWC, uniform_BK, self._domain, self._side)
        patches_BGGhwC = cut(seen_BHWC, self._patch)
        numbers_BGGK = uniform_BK[:, GEOMETRY_NUMBERS:].reshape(*patches_BGGhwC.shape[:3], -1)
        return tuple(
            as_pixels(recolored(patches.flatten(0, 1), numbers.flatten(0, 1), self._domain))
            for patches, numbers in zip(
                patches_BGGhwC.unbind(1), numbers_BGGK.unbind(1), strict=True
            )
        )

    def step(self, views: tuple[Tensor, ...], batch: Batch) -> Step:
        z_BGGD = self.encoded(views)
        return self._predicted(z_BGGD, self.contexts(z_BGGD))

    def encoded(self, views: tuple[Tensor, ...]) -> Tensor:
        """The z of each patch, row by row."""
        rows = [self._norm(self._f(row).unflatten(0, (-1, self._rows))) for row in views]
        return torch.stack(rows, dim=1).float()

    def contexts(self, z_BGGD: Tensor) -> Tensor:
        """The c at each patch, which depends on its row and those above."""
        c_BGGD: Tensor = self._g(z_BGGD)
        return c_BGGD.float()

    def _predicted(self, z_BGGD: Tensor, c_BGGD: Tensor) -> Step:
        """The mean loss of all predictions, each of a row from one above."""
        z_NGGD = self._world.joined(z_BGGD)
        first = self._world.rank * len(z_BGGD) * self._rows
        losses, ones, others = [], [], []
        for below, w in enumerate(self._w, FIRST_ROWS_BELOW):
            for row in range(self._rows - below):
                predicted_PD = w(c_BGGD[:, row]).float().flatten(0, 1)
                candidates_QD = z_NGGD[:, row + below].flatten(0, 1)
                own_P = first + torch.arange(len(predicted_PD), device=predicted_PD.device)
                losses.append(info_nce(predicted_PD, candidates_QD, own_P))
                ones.append(predicted_PD.detach())
                others.append(z_BGGD[:, row + below].detach().flatten(0, 1))
        return Step(torch.stack(losses).mean(), torch.cat(ones), torch.cat(others))

    def train(self) -> None:
        pass

    def after_step(self, step: int) -> None:
        pass


class Context(nn.Module):
    """(B, G, G, D) -> (B, G, G, D): residual convolutions that look at a row and the one above."""

    def __init__(self, dim: int, blocks: int) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(nn.Conv2d(dim, dim, (2, 3)) for _ in range(blocks))
        self.norms = nn.ModuleList(nn.LayerNorm(dim) for _ in range(blocks))

    def forward(self, z_BGGD: Tensor) -> Tensor:
        c_BGGD = z_BGGD
        for norm, conv in zip(self.norms, self.blocks, strict=True):
            seen_BDGG = norm(c_BGGD).relu().permute(0, 3, 1, 2)
            # One row above, a column on either side, and nothing below.
            padded = functional.pad(seen_BDGG, (1, 1, 1, 0))
            c_BGGD = c_BGGD + conv(padded).permute(0, 2, 3, 1)
        return c_BGGD


def cut(image_BHWC: Tensor, patch: int) -> Tensor:
    """Patches half over each other, (B, G, G, patch, patch, C), from the upper left."""
    rows = image_BHWC.unfold(1, patch, patch // 2).unfold(2, patch, patch // 2)
    return rows.permute(0, 1, 2, 4, 5, 3)


def info_nce(predicted_PD: Tensor, candidates_QD: Tensor, own_P: Tensor) -> Tensor:
    """The cross-entropy of telling each prediction's own candidate from all others.

    The logits are dot products, here over the root of D: an untrained network begins near log Q.
    """
    with torch.autocast(predicted_PD.device.type, enabled=False):
        logits_PQ = predicted_PD @ candidates_QD.T / math.sqrt(predicted_PD.shape[1])
        return functional.cross_entropy(logits_PQ, own_P)


def grid_of(config: RunConfig, backbone: Backbone) -> tuple[int, int]:
    """Pixels a side of a patch, and rows of patches.

    Raises:
        ConfigError: a patch that is odd, too large for 3 rows or too small for the backbone.
    """
    patch, rows = _grid(config, backbone.spec.input_size)
    try:
        with torch.no_grad():
            backbone.trunk(torch.zeros(2, 3, patch, patch))
    except RuntimeError as error:
        expected = f"patches that are large enough for {backbone.spec.name}"
        raise ConfigError(f"cpc.patch: expected {expected}, got {patch} pixels") from error
    return patch, rows


def cpc_numbers(config: RunConfig, input_size: int) -> int:
    """Uniform numbers an image: one geometry, and a color for each patch; raises as `grid_of`."""
    _, rows = _grid(config, input_size)
    return GEOMETRY_NUMBERS + COLOR_NUMBERS * rows**2


def _grid(config: RunConfig, input_size: int) -> tuple[int, int]:
    side = side_of(config.views, input_size)
    patch = config.cpc.patch or max(2, side // 8 * 2)
    most = side // 2  # three rows, each half a patch below the one before
    if patch % 2 or patch > most:
        expected = f"an even number of pixels, at most {most} of views of {side}"
        raise ConfigError(f"cpc.patch: expected {expected}, got {patch}")
    return patch, (side - patch) // (patch // 2) + 1
