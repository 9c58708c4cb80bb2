"""What a run of layer-wise training starts from: the decoders that the run before it has kept."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from exemplar_training.errors import ConfigError
from exemplar_training.fit import checkpoint
from exemplar_training.fit.trained import decoders_state
from exemplar_training.layerwise.decoders import Decoders, new_decoders, stack_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor

    from exemplar_training.backbones import Backbone
    from exemplar_training.config import RunConfig


def decoders_of(config: RunConfig, backbone: Backbone, *, is_started: bool) -> Decoders:
    """New ones, and those of `model.init`; a run that has started has its own in its checkpoint.

    Raises:
        ConfigError: `model.init` is not the run that comes before this one.
    """
    decoders = new_decoders(stack_of(backbone, config.method), config.seed)
    if not is_started:
        state = kept_decoders(Path(config.model.init)) if config.model.init else {}
        _check_count(config, len({name.partition(".")[0] for name in state}))
        decoders.load_state_dict(dict(decoders.state_dict()) | dict(state))
    return decoders


def kept_decoders(run: Path) -> Mapping[str, Tensor]:
    """The state of the decoders of the run in this folder, averaged where it kept averages."""
    return decoders_state(checkpoint.load(run / checkpoint.FILE))


def _check_count(config: RunConfig, got: int) -> None:
    """A stage goes on one layer above; an unrolled stack has all layers' decoders, or no start."""
    expected = len(config.model.widths) - config.is_stage
    is_right = got == expected or (not config.is_stage and not config.model.init)
    if not is_right:
        told = f"a run that has learned {expected} layers one by one" if expected else "none"
        raise ConfigError(f"model.init: expected {told}, got {got or 'none'}")
