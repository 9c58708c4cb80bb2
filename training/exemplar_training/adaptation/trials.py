"""A study from end to end; what was trained before is found in its folder and not trained again.

OUT/source/seed0                              from the source alone
OUT/oracle/seed0                              from the target, labelled
OUT/plain/dann/adaptation.weight=0.3/seed0    a method with one candidate's settings
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from exemplar_training.adaptation.domains import PLAIN
from exemplar_training.adaptation.scores import criterion, exemplar_score, score
from exemplar_training.adaptation.study import ADABN
from exemplar_training.config import SOURCE_FREE
from exemplar_training.fit.images import RunImages
from exemplar_training.fit.study import train_once

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from exemplar_training.adaptation.domains import Domains
    from exemplar_training.adaptation.scores import Score
    from exemplar_training.adaptation.study import Study
    from exemplar_training.config import RunConfig
    from exemplar_training.data.image_set import ImageSet

EXEMPLARS = (1, 5)  # labelled, of each class of the target


@dataclass(frozen=True)
class Candidate:
    """Settings of a method and what the criterion says of them at the first seed."""

    method: str
    settings: str
    criterion: float


@dataclass(frozen=True)
class Row:
    """The scores of a method on a variant of the target, a score for each seed."""

    name: str
    variant: str
    scores: tuple[Score, ...]


@dataclass(frozen=True)
class Result:
    candidates: tuple[Candidate, ...]
    chosen: dict[str, str]
    rows: tuple[Row, ...]


class Trials:
    """The runs of a study in its folder. Used by one thread."""

    def __init__(
        self, study: Study, domains: Domains, out: Path, report: Callable[[str], None]
    ) -> None:
        self._study, self._domains, self._out, self._report = study, domains, out, report
        self._chosen: dict[str, str] = {}  # settings by method

    def play(self) -> Result:
        """Trains and scores everything; ends the program and raises as `train_once` does."""
        rows = [self._row("source-only", PLAIN, self._source)]
        candidates: list[Candidate] = []
        for method in self._study.ordered:
            tried = [self._tried(method, settings) for settings in self._study.methods[method]]
            best = max(tried, key=lambda each: each.criterion)
            self._chosen[method] = best.settings
            candidates += tried
            rows += [self._method_row(method, variant) for variant in self._domains.targets]
        if not self._study.is_transductive:
            rows += self._with_labels()
        return Result(tuple(candidates), dict(self._chosen), tuple(rows))

    def _with_labels(self) -> list[Row]:
        """What labels of the target are worth: all of them, or a few on the features there are."""
        starts = {"source-only": self._source}
        if ADABN in self._chosen:
            starts[ADABN] = lambda seed: self._adapted(ADABN, self._chosen[ADABN], PLAIN, seed)
        few = [
            self._exemplar_row(f"{n_shot} labelled on {name}", runs, n_shot)
            for n_shot in EXEMPLARS
            for name, runs in starts.items()
        ]
        return [*few, self._row("oracle", PLAIN, self._oracle)]

    def _tried(self, method: str, settings: str) -> Candidate:
        run = self._adapted(method, settings, PLAIN, self._study.seeds[0])
        candidate = Candidate(method, settings, criterion(run, self._domains.targets[PLAIN]))
        self._report(f"{method} {settings}: criterion {candidate.criterion:.3f}")
        return candidate

    def _method_row(self, method: str, variant: str) -> Row:
        settings = self._chosen[method]
        return self._row(method, variant, lambda s: self._adapted(method, settings, variant, s))

    def _row(self, name: str, variant: str, runs: Callable[[int], Path]) -> Row:
        test = self._domains.test
        return self._scored(name, variant, lambda seed: score(runs(seed), test))

    def _exemplar_row(self, name: str, runs: Callable[[int], Path], n_shot: int) -> Row:
        pool, test = self._domains.targets[PLAIN], self._domains.test
        return self._scored(
            name, PLAIN, lambda seed: exemplar_score(runs(seed), pool, test, n_shot)
        )

    def _scored(self, name: str, variant: str, score_of: Callable[[int], Score]) -> Row:
        row = Row(name, variant, tuple(score_of(seed) for seed in self._study.seeds))
        told = " ".join(f"{100 * each.accuracy:.1f}" for each in row.scores)
        self._report(f"{name}, {variant}: {told}")
        return row

    def _source(self, seed: int) -> Path:
        config = self._study.teaching(self._study.shared.data, seed)
        return self._run(f"source/seed{seed}", config, self._domains.source)

    def _oracle(self, seed: int) -> Path:
        config = self._study.teaching(self._study.shared.target, seed)
        whole = replace(config, data=replace(config.data, n_shot=0))  # drawn already
        return self._run(f"oracle/seed{seed}", whole, self._domains.targets[PLAIN])

    def _adapted(self, method: str, settings: str, variant: str, seed: int) -> Path:
        init = self._start(method, variant, seed) if method in SOURCE_FREE else None
        config = self._study.adapting(method, settings, seed, init)
        place = f"{variant}/{method}/{settings.replace(' ', ',') or 'shared'}/seed{seed}"
        target = self._domains.targets[variant]
        if config.is_source_free:
            return self._run(place, config, target)
        return self._run(place, config, self._domains.source, target)

    def _start(self, method: str, variant: str, seed: int) -> Path:
        """Source-only's run, or AdaBN's where the study has it: its statistics are better."""
        if method == ADABN or ADABN not in self._chosen:
            return self._source(seed)
        return self._adapted(ADABN, self._chosen[ADABN], variant, seed)

    def _run(
        self, place: str, config: RunConfig, images: ImageSet, target: ImageSet | None = None
    ) -> Path:
        """The folder of the finished run."""
        out = self._out / place
        train_once(config, out, RunImages(images, target), _quiet)
        return out


def _quiet(_: str) -> None:
    pass
