"""What a run trained, out of its checkpoint: for export and for the next run."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from exemplar_training import config_file
from exemplar_training.embedder import Embedder
from exemplar_training.errors import CheckpointError
from exemplar_training.fit import checkpoint
from exemplar_training.fit.build import backbone_of
from exemplar_training.fit.head import head_of_state, upright
from exemplar_training.fit.state import ORIGIN

if TYPE_CHECKING:
    from pathlib import Path

    from torch import Tensor, nn

    from exemplar_training.backbones import Backbone, BackboneSpec
    from exemplar_training.config import DataConfig, RunConfig

# Of the backbone, the head and the way back to the pixels in a method's module.
_EMBEDDER, _HEAD, _DECODERS = "embedder.", "head.", "decoders."
# Where things lie on one machine says nothing about the backbone.
_PLACES = {"model.init", "model.weights"}
_PLACES |= {f"{table}.{name}" for table in ("data", "target") for name in ("root", "workers")}


def trained_backbone(run: Path) -> Backbone:
    """The backbone of the run in this folder, averaged weights where it kept them.

    Raises:
        TrainingError: no whole checkpoint, or one of another network.
    """
    content = checkpoint.load(run / checkpoint.FILE)
    config = config_file.parse(content["config"])
    backbone = backbone_of(config.model, config.seed)
    state = embedder_state(content)
    load_embedder(backbone, state)
    spec = _spec(backbone.spec, config, content, state)
    return replace(backbone, spec=spec, run=_told(config, content))


def trained_head(run: Path) -> nn.Module:
    """The head of the run in this folder, averaged weights where it kept them.

    Raises:
        CheckpointError: no whole checkpoint, or one without a head.
    """
    return head_of(checkpoint.load(run / checkpoint.FILE), run)


def head_of(content: dict[str, Any], run: Path) -> nn.Module:
    """As `trained_head`, of the content of the run's checkpoint."""
    state = _part(content, _HEAD)
    is_turned = config_file.parse(content["config"]).supervised.turned
    head = head_of_state(upright(state) if is_turned else state)
    if head is None:
        raise CheckpointError(f"{run}: expected a run with a head, got one without")
    return head


def embedder_state(content: dict[str, Any]) -> dict[str, Tensor]:
    """The weights of the Embedder in the content of a checkpoint, averaged where it has such."""
    return _part(content, _EMBEDDER)


def decoders_state(content: dict[str, Any]) -> dict[str, Tensor]:
    """As `embedder_state`, of the decoders that layer-wise training keeps; maybe none."""
    return _part(content, _DECODERS)


def load_embedder(backbone: Backbone, state: dict[str, Tensor]) -> None:
    """Puts the weights of an Embedder of the same network into `backbone`.

    Raises:
        CheckpointError: they are of another network.
    """
    try:
        Embedder(backbone).load_state_dict(state)
    except RuntimeError as error:
        reason = " ".join(str(error).split())[:160]  # it names every key
        message = f"checkpoint: expected weights of {backbone.spec.name}, got {reason}"
        raise CheckpointError(message) from error


def _part(content: dict[str, Any], prefix: str) -> dict[str, Tensor]:
    state = content["ema"] or content["module"]
    return {
        name.removeprefix(prefix): value for name, value in state.items() if name.startswith(prefix)
    }


def _spec(
    spec: BackboneSpec, config: RunConfig, content: dict[str, Any], state: dict[str, Tensor]
) -> BackboneSpec:
    data = _told_data(config.trained_on)
    if config.has_target:
        data += f" and unlabelled {_told_data(config.target)}"
    origin = (
        f"{config.method}, {content['step']} steps on {data}; before: {content['facts'][ORIGIN]}"
    )
    return replace(spec, origin=origin, weights_sha256=weights_hash(state), photos_right=0)


def _told_data(data: DataConfig) -> str:
    return "/".join([data.name or "a folder of images", *data.parts])


def _told(config: RunConfig, content: dict[str, Any]) -> dict[str, Any]:
    values = {
        key: list(value) if isinstance(value, tuple) else value
        for key, value in config_file.flat(config).items()
        if key not in _PLACES
    }
    return {"step": content["step"], "has_averaged_weights": bool(content["ema"]), **values}


def weights_hash(state: dict[str, Tensor]) -> str:
    """A hash of the weights that no file format changes."""
    digest = hashlib.sha256()
    for name in sorted(state):
        digest.update(name.encode() + bytes(state[name].contiguous().flatten().numpy()))
    return digest.hexdigest()
