"""Heads: what turns a backbone's embedding into logits, new or as a run left it.

Shapes: B batch, D dim, K classes.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional

from exemplar_training.fit.augment import TURNS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from exemplar_training.config import SupervisedConfig

# Gidaris & Komodakis 2018, https://arxiv.org/abs/1804.09458, section 3.2: learned, from 10 on.
_COSINE_SCALE = 10.0
_LINEAR, _COSINE = "weight", "weight_KD"  # what a head's state tells its kind by


class Cosine(nn.Module):
    """Logits (B, K): cosines to a learned direction a class, times a learned scale."""

    def __init__(self, dim: int, class_count: int) -> None:
        super().__init__()
        # Rows of about unit length: an optimizer with a fixed stride, as AdamW, turns longer ones
        # too slowly.
        self.weight_KD = nn.Parameter(torch.randn(class_count, dim) / math.sqrt(dim))
        self.scale = nn.Parameter(torch.tensor(_COSINE_SCALE))

    def forward(self, embedding_BD: Tensor) -> Tensor:
        unit_BD = functional.normalize(embedding_BD, dim=1)
        return self.scale * unit_BD @ functional.normalize(self.weight_KD, dim=1).T


def new_head(config: SupervisedConfig, dim: int, class_count: int, seed: int) -> nn.Module:
    """A head that has learned nothing; equal for equal seeds. Turned images have more classes."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        kind = Cosine if config.classifier == "cosine" else nn.Linear
        return kind(dim, class_count * (TURNS if config.turned else 1))


def head_of_state(state: Mapping[str, Tensor]) -> nn.Module | None:
    """The head whose `state_dict` this is; None where it is no head's."""
    if _COSINE in state:
        class_count, dim = state[_COSINE].shape
        head: nn.Module = Cosine(dim, class_count)
    elif _LINEAR in state:
        class_count, dim = state[_LINEAR].shape
        head = nn.Linear(dim, class_count)
    else:
        return None
    head.load_state_dict(state)
    return head


def upright(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Of the state of a head that learned from turned images, what it says of the others."""
    return {
        name: value[: len(value) // TURNS] if value.ndim else value for name, value in state.items()
    }


def shape_of(head: nn.Module) -> tuple[int, int]:
    """How many classes it tells apart, and the dim of the embeddings it is given."""
    class_count, dim = next(each for each in head.parameters() if each.ndim == 2).shape  # noqa: PLR2004 - (K, D)
    return class_count, dim
