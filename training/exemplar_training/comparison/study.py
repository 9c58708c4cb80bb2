"""What a comparison is told: its arms, what they have in common, and the images that judge them.

`config_file.py` reads it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path

from exemplar_training.config import RunConfig
from exemplar_training.data.layout import DEFAULT_ROOT
from exemplar_training.errors import ConfigError
from exemplar_training.evaluation.heads import HEADS, head_name
from exemplar_training.evaluation.trial import Trial
from exemplar_training.fit.study import arm_of, check_seeds

_ARM = re.compile(r"(?!\.)[A-Za-z0-9._-]{1,64}")  # it is a folder


@dataclass(frozen=True)
class TrialConfig:
    """The images that judge and the episodes that are drawn from them, as `evaluate` has them."""

    data: str = ""  # the name of a set, or a folder with a folder for each class
    root: str = ""  # of the sets; empty: where `exemplar-train data fetch` puts them
    parts: tuple[str, ...] = ()  # of the set; empty: "test" where there is one, else all
    classes: tuple[str, ...] = ()  # by their names; empty: all
    n_way: int = 5
    n_shots: tuple[int, ...] = (1, 5)
    n_query: int = 15
    episodes: int = 600
    seed: int = 0  # draws the episodes, which are the same for all arms and their seeds

    @property
    def trial(self) -> Trial:
        return Trial(
            data=self.data,
            root=Path(self.root or DEFAULT_ROOT).expanduser(),
            parts=list(self.parts) or None,
            n_way=self.n_way,
            n_shots=tuple(dict.fromkeys(self.n_shots)),
            n_query=self.n_query,
            episodes=self.episodes,
            seed=self.seed,
            classes=self.classes,
        )


@dataclass(frozen=True)
class Study:
    """Each arm is trained once for each seed, which takes the place of the run's own.

    An arm with `schedule.steps=0` learns nothing: it is what it starts from, such as a backbone
    with published weights. `model.init` may be the name of an arm before it, of the same seed.
    """

    seeds: tuple[int, ...] = (0, 1, 2)
    trial: TrialConfig = field(default_factory=TrialConfig)
    shared: RunConfig = field(default_factory=RunConfig)  # what the arms have in common
    arms: dict[str, str] = field(default_factory=dict)  # the rest, as --set has it, with spaces
    sorted_by: str = ""  # a column, such as "prototype, 5-shot"; empty: arms as they stand here

    def __post_init__(self) -> None:
        check_seeds(self.seeds)
        if not self.trial.data:
            raise ConfigError("trial.data: expected the name of a set or a folder, got none")
        if not self.trial.n_shots:
            raise ConfigError("trial.n_shots: expected one and more, got none")
        if not self.arms:
            raise ConfigError("arms: expected one and more, got none")
        for name in self.arms:
            if not _ARM.fullmatch(name):
                expected = "1..64 characters of A-Z a-z 0-9 . _ - and no leading dot"
                raise ConfigError(f"arms: expected names of {expected}, got {name!r}")
        if self.sorted_by and self.sorted_by not in self.columns:
            expected = "; ".join(self.columns)
            raise ConfigError(f"sorted_by: expected one of {expected}, got {self.sorted_by!r}")

    @property
    def columns(self) -> list[str]:
        """The heads of the service, each with every number of exemplars."""
        shots = self.trial.trial.n_shots
        return [column_of(head_name(head), n_shot) for head in HEADS for n_shot in shots]

    @property
    def main(self) -> str:
        """The column whose differences are told: the one to sort by, else the first head's last."""
        return self.sorted_by or column_of(head_name(HEADS[0]), max(self.trial.n_shots))


@dataclass(frozen=True)
class ArmRun:
    """The run of an arm for a seed."""

    name: str
    seed: int
    folder: Path
    config: RunConfig


def column_of(head: str, n_shot: int) -> str:
    return f"{head}, {n_shot}-shot"


def arm_runs(study: Study, out: Path) -> list[ArmRun]:
    """All runs, seed by seed.

    Raises:
        ConfigError: names the arm and what is wrong with its settings.
    """
    found = []
    for seed in study.seeds:
        folders: dict[str, Path] = {}  # of the arms before, which one may start from
        for name, overrides in study.arms.items():
            config = arm_of(study.shared, overrides, seed, f"arms.{name}", folders)
            folders[name] = out / name / f"seed{seed}"
            found.append(ArmRun(name, seed, folders[name], config))
    return found
