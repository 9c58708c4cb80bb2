"""What a study of domain adaptation is told: two domains, the methods, their candidate settings.

`config_file.py` reads it.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from exemplar_training.config import SOURCE_FREE, TWO_DOMAINS, DataConfig, RunConfig
from exemplar_training.errors import ConfigError
from exemplar_training.fit.study import changed, check_seeds

if TYPE_CHECKING:
    from pathlib import Path

ADABN = "adabn"


@dataclass(frozen=True)
class Study:
    """Every method from `shared.data`, labelled, to `shared.target`, unlabelled, for each seed.

    All images are of the classes of `shared.data`. `methods` has each method's candidates: what it
    has of its own, as --set has it, with spaces between. An unsupervised criterion chooses among
    them at the first seed.
    """

    seeds: tuple[int, ...] = (0, 1, 2)
    shared: RunConfig = field(default_factory=RunConfig)
    test: DataConfig = field(default_factory=DataConfig)  # labelled, of the target: the score's
    methods: dict[str, tuple[str, ...]] = field(default_factory=dict)
    is_shifted_too: bool = False  # also where every second class of the target is rare
    is_missing_too: bool = False  # also where one class of the target is missing

    def __post_init__(self) -> None:
        check_seeds(self.seeds)
        for method, candidates in self.methods.items():
            if method not in (*SOURCE_FREE, *TWO_DOMAINS):
                expected = ", ".join((*SOURCE_FREE, *TWO_DOMAINS))
                raise ConfigError(f"methods: expected {expected}, got {method!r}")
            if not candidates:
                raise ConfigError(f'methods.{method}: expected candidates such as "", got none')
            for candidate in candidates:
                self.adapting(method, candidate, 0)

    @property
    def ordered(self) -> list[str]:
        """The methods; AdaBN is first, because the other source-free ones start from it."""
        return sorted(self.methods, key=lambda method: method != ADABN)

    @property
    def is_transductive(self) -> bool:
        """Whether the images of the score are the unlabelled ones: there are no others to label."""
        one, other = self.shared.target, self.test
        return (one.root, one.name, one.parts) == (other.root, other.name, other.parts)

    def teaching(self, data: DataConfig, seed: int) -> RunConfig:
        """Supervised training: of the source alone, or of the target as its oracle."""
        return replace(self.shared, method="supervised", seed=seed, data=data)

    def adapting(
        self, method: str, candidate: str, seed: int, init: Path | None = None
    ) -> RunConfig:
        """The run of a method; a source-free one starts from the run `init`.

        Raises:
            ConfigError: names the method and what is wrong with the candidate.
        """
        # The study draws target images itself, once for all seeds.
        fixed = [f"method={method}", f"seed={seed}", "target.n_shot=0"]
        start = [] if init is None else [f"model.init={init}"]
        return changed(self.shared, [*candidate.split(), *fixed, *start], f"methods.{method}")
