"""Settings of stacks that do not go together, refused before anything is loaded."""

from __future__ import annotations

from typing import TYPE_CHECKING

from exemplar_training.errors import ConfigError

if TYPE_CHECKING:
    from exemplar_training.config import ModelConfig, RunConfig

STACKS = ("mlp", "convnet")  # backbones that grow layer by layer


def check_stack(config: RunConfig) -> None:
    """Raises ConfigError: a stack without widths, widths or a method without a stack."""
    model = config.model
    _check_widths(model)
    stacks = ("mlp",) if config.method == "rbm" else STACKS
    if config.is_layerwise and model.backbone not in stacks:
        expected = f"{' or '.join(stacks)} with {config.method}"
        raise ConfigError(f"model.backbone: expected {expected}, got {model.backbone}")
    if config.is_layerwise and config.augment != type(config.augment)():
        expected = f"nothing with {config.method}, which learns from images as they are"
        raise ConfigError(f"augment: expected {expected}, got {config.augment}")


def _check_widths(model: ModelConfig) -> None:
    got = list(model.widths)
    if model.backbone not in STACKS and got:
        raise ConfigError(f"model.widths: expected none with {model.backbone}, got {got}")
    if model.backbone in STACKS and (not got or min(got) < 1):
        expected = f"one and more of at least 1 with {model.backbone}"
        raise ConfigError(f"model.widths: expected {expected}, got {got or 'none'}")
    if model.has_linear_code and model.backbone != "mlp":
        expected = f"false with {model.backbone}"
        raise ConfigError(f"model.has_linear_code: expected {expected}, got true")
