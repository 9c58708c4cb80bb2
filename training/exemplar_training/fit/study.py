"""What studies have in common: seeds, arms that change shared settings, runs trained only once."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from exemplar_training import config_file
from exemplar_training.errors import ConfigError
from exemplar_training.fit.run import RunRequest, run
from exemplar_training.fit.stop import exit_on

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from exemplar_training.config import RunConfig
    from exemplar_training.fit.images import RunImages


def check_seeds(seeds: Sequence[int]) -> None:
    """Raises ConfigError unless they are whole numbers from 0, one and more, none of them twice."""
    if not seeds or len(set(seeds)) != len(seeds) or min(seeds) < 0:
        expected = "different whole numbers, one and more"
        raise ConfigError(f"seeds: expected {expected}, got {list(seeds)}")


def changed(config: RunConfig, overrides: Sequence[str], told: str) -> RunConfig:
    """`config` with `overrides`, as --set has them; `told` names them where they are refused."""
    try:
        return config_file.parse(config_file.as_toml(config), overrides)
    except ConfigError as error:
        raise ConfigError(f"{told}: {error}") from error


def arm_of(
    shared: RunConfig, overrides: str, seed: int, told: str, starts: Mapping[str, Path]
) -> RunConfig:
    """`shared` with an arm's overrides, spaces between them; `model.init` may name a start."""
    config = changed(shared, [*overrides.split(), f"seed={seed}"], told)
    init = str(starts.get(config.model.init, config.model.init))
    return replace(config, model=replace(config.model, init=init))


def train_once(
    config: RunConfig, folder: Path, given: RunImages, say: Callable[[str], None]
) -> None:
    """The run in `folder` from where it is to its end, which may be behind it.

    Ends the program after a checkpoint where a signal asks for it; the same call goes on.

    Raises:
        TrainingError: as a run does, also where the folder has a run of other settings.
    """
    request = RunRequest(config, folder, is_resumed=True)
    exit_on(run(request, given.images, say, given.target).signal_number)
