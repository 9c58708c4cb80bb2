"""Projection and prediction heads: small networks on the embedding that no export has.

Shapes: B batch, D dim.
"""

from __future__ import annotations

from torch import nn


def mlp(dim: int, hidden: int, dim_after: int) -> nn.Sequential:
    """(B, dim) -> (B, dim_after): a hidden layer with BatchNorm and ReLU; 0: none."""
    if not hidden:
        return nn.Sequential(nn.Linear(dim, dim_after))
    return nn.Sequential(
        nn.Linear(dim, hidden, bias=False),
        nn.BatchNorm1d(hidden),
        nn.ReLU(),
        nn.Linear(hidden, dim_after),
    )
