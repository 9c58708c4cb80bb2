"""What a study of transfer is told: what is learned first, and the arms that may start from it.

`config_file.py` reads it. A part is a font, a drawing style or a camera of a fetched set.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np

from exemplar_training.config import RunConfig
from exemplar_training.errors import ConfigError
from exemplar_training.fit.study import arm_of, changed, check_seeds

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

SOURCE = "source"  # the folder of what is learned first; as an arm's model.init that run


@dataclass(frozen=True)
class Study:
    """Every arm learns from the same parts and is asked about the same others, for each seed.

    A seed draws the parts that teach, and takes the place of the runs' own. All arms are compared
    with the first one.
    """

    seeds: tuple[int, ...] = ()
    teaching: tuple[int, ...] = ()  # how many parts teach; those of a smaller number are among more
    judging: tuple[str, ...] = ()  # the parts that ask; they teach no arm
    source: RunConfig = field(default_factory=RunConfig)  # what is learned first
    shared: RunConfig = field(default_factory=RunConfig)  # what the arms have in common
    arms: dict[str, str] = field(default_factory=dict)  # the rest, as --set has it, with spaces

    def __post_init__(self) -> None:
        check_seeds(self.seeds)
        for name in ("teaching", "judging", "arms"):
            if not getattr(self, name):
                raise ConfigError(f"{name}: expected one and more, got none")
        if min(self.teaching) < 1:
            raise ConfigError(f"teaching: expected 1 and more, got {min(self.teaching)}")


@dataclass(frozen=True)
class ArmRun:
    """The run of an arm that is taught by `count` parts."""

    name: str
    seed: int
    count: int
    folder: Path
    config: RunConfig


def source_runs(study: Study, out: Path) -> dict[Path, RunConfig]:
    """What is learned first, by the folder it goes to; raises as `arm_runs`."""
    return {
        _source_folder(out, seed): changed(study.source, [f"seed={seed}"], "source")
        for seed in study.seeds
    }


def arm_runs(study: Study, parts: Sequence[str], out: Path) -> Iterator[ArmRun]:
    """All runs of the arms; `parts` are those that the set has.

    Raises:
        ConfigError: names what is wrong: an arm's settings, a part that is not there, too few.
    """
    for seed in study.seeds:
        configs = _configs(study, seed, _source_folder(out, seed))
        for count in study.teaching:
            taught = _taught(study, parts, seed, count)
            for arm, config in configs.items():
                folder = out / arm / str(count) / f"seed{seed}"
                data = replace(config.data, parts=taught)
                yield ArmRun(arm, seed, count, folder, replace(config, data=data))


def _configs(study: Study, seed: int, source: Path) -> dict[str, RunConfig]:
    """Each arm's settings; `source` is the run that it may start from."""
    starts = {SOURCE: source}
    return {
        arm: arm_of(study.shared, overrides, seed, f"arms.{arm}", starts)
        for arm, overrides in study.arms.items()
    }


def _source_folder(out: Path, seed: int) -> Path:
    return out / SOURCE / f"seed{seed}"


def _taught(study: Study, parts: Sequence[str], seed: int, count: int) -> tuple[str, ...]:
    """The first `count` parts in the seed's order of all that do not judge, sorted."""
    for name in study.judging:
        if name not in parts:
            raise ConfigError(f"judging: expected parts of the set, got {name!r}")
    free = sorted(set(parts) - set(study.judging))
    if count > len(free):
        expected = f"no more than the {len(free)} parts that do not judge"
        raise ConfigError(f"teaching: expected {expected}, got {count}")
    order = np.random.default_rng((seed, 3)).permutation(len(free))
    return tuple(sorted(free[place] for place in order[:count]))
