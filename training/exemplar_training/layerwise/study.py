"""What a study of layer-wise pretraining is told, and the runs that it is made of.

`config_file.py` reads it.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

from exemplar_training.config import DataConfig, RunConfig
from exemplar_training.errors import ConfigError


@dataclass(frozen=True)
class Study:
    """Algorithm 15.1. `pretraining` has the learner L (its method), X and m widths of layers.

    `fine_tuning` is T, whose other settings are those of `tuning`; its backbone and its seed are
    those of `pretraining`.
    """

    pretraining: RunConfig = field(default_factory=RunConfig)
    fine_tuning: Literal["none", "supervised", "unrolled"] = "none"
    tuning: RunConfig = field(default_factory=RunConfig)
    test: DataConfig = field(default_factory=DataConfig)  # nothing learns from these

    def __post_init__(self) -> None:
        method, init = self.pretraining.method, self.pretraining.model.init
        if not self.pretraining.is_stage:
            expected = "rbm, autoencoder or denoising"
            raise ConfigError(f"pretraining.method: expected {expected}, got {method}")
        if init:
            expected = "none, as the study starts from nothing"
            raise ConfigError(f"pretraining.model.init: expected {expected}, got {init}")


@dataclass(frozen=True)
class Planned:
    """A run of the study; `layers` says which ones it trains."""

    name: str
    layers: str
    folder: Path
    config: RunConfig


def stages(study: Study, out: Path) -> list[Planned]:
    """The loop of the book: layer k on what the layers before it have become, from 1 on."""
    model = study.pretraining.model
    planned = []
    for count in range(1, len(model.widths) + 1):
        is_last = count == len(model.widths)
        grown = replace(
            model,
            widths=model.widths[:count],
            has_linear_code=model.has_linear_code and is_last,
            init=str(out / str(count - 1)) if count > 1 else "",
            trained="last_block",
        )
        config = replace(study.pretraining, model=grown)
        below, width = ["pixels", *model.widths][count - 1 : count + 1]
        planned.append(Planned(str(count), f"{below} - {width}", out / str(count), config))
    return planned


def tuned(study: Study, out: Path) -> list[Planned]:
    """Fine-tuning from the last stage; nothing where the study has none."""
    if study.fine_tuning == "none":
        return []
    model, tuning = study.pretraining.model, study.tuning
    grown = replace(
        model,
        init=str(out / str(len(model.widths))),
        trained=tuning.model.trained,
        layer_decay=tuning.model.layer_decay,
    )
    name, seed = study.fine_tuning, study.pretraining.seed
    config = replace(tuning, method=name, seed=seed, model=grown)
    return [Planned(name, "all", out / name, config)]
