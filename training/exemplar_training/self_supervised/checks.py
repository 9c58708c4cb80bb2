"""Which settings go together where two views of an image agree."""

from __future__ import annotations

from typing import TYPE_CHECKING

from exemplar_training.errors import ConfigError

if TYPE_CHECKING:
    from exemplar_training.config import RunConfig

_PAIRED = ("simclr", "moco", "byol", "simsiam")  # they compare whole views; cpc compares patches


def check_views(config: RunConfig) -> None:
    """Raises ConfigError where the method does not go with other settings."""
    _check_kept(config)
    if not config.is_self_supervised:
        return
    if config.model.trained == "head":
        expected = f"last_block or all with {config.method}, which has no head"
        raise ConfigError(f"model.trained: expected {expected}, got head")
    if config.augment != type(config.augment)():
        expected = f"nothing with {config.method}, which varies images by [views]"
        raise ConfigError(f"augment: expected {expected}, got {config.augment}")


def _check_kept(config: RunConfig) -> None:
    if config.views.kept == 1:
        raise ConfigError("views.kept: expected 2 or more, of which two are a pair, or 0, got 1")
    if config.views.kept and not (config.has_kept and config.method in _PAIRED):
        expected = f'{", ".join(_PAIRED)}, model.adapter and model.trained = "last_block"'
        got = f'{config.method}, {config.model.adapter} and "{config.model.trained}"'
        raise ConfigError(f"views.kept: expected {expected}, got {got}")
