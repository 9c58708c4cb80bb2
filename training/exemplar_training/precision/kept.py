"""Which layers stay in float: as few as bring int8 near enough to fp32, found by measurement."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    # The 1st percentile of cosine to fp32 with these layers in float.
    Nearness = Callable[[Sequence[str]], float]


@dataclass(frozen=True)
class Kept:
    """`layers` stay in float, which brings the nearness to `cosine`.

    `alone` is the nearness with each layer of the network alone in float, and was measured only
    where `none`, that with no layer in float, is too low.
    """

    layers: tuple[str, ...]
    cosine: float
    none: float
    alone: dict[str, float]


def choose_kept(layers: Sequence[str], nearness: Nearness, enough: float) -> Kept:
    """Keeps layers in float, the one that alone helps most first, until the nearness is `enough`.

    Or all of them, where nothing less is.
    """
    none = nearness(())
    if none >= enough:
        return Kept((), none, none, {})
    alone = {layer: nearness((layer,)) for layer in layers}
    ranked = sorted(layers, key=lambda layer: -alone[layer])
    cosine = none
    for count in range(1, len(ranked) + 1):
        cosine = nearness(ranked[:count])
        if cosine >= enough:
            return Kept(tuple(ranked[:count]), cosine, none, alone)
    return Kept(tuple(ranked), cosine, none, alone)
