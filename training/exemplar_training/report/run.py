"""One report from end to end: images, episodes, embeddings, heads, maps, page."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from exemplar_training import config_file
from exemplar_training.errors import EvaluationError
from exemplar_training.evaluation.run import load_artifacts
from exemplar_training.evaluation.trial import draw, memory_advice
from exemplar_training.files import replace_file
from exemplar_training.report.curves import read_curves
from exemplar_training.report.findings import find
from exemplar_training.report.page import render

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from exemplar_server.core.artifact import Artifact
    from exemplar_training.evaluation.trial import Trial


@dataclass(frozen=True)
class ReportRequest:
    """`artifact` is the backbone to show, `before` what it is held against: None is raw pixels.

    `run` is the folder of the run that made it, for its learning curves.
    """

    artifact: Path
    before: Path | None
    run: Path | None
    trial: Trial
    out: Path

    def __post_init__(self) -> None:
        # Refused before the minutes of work that would be lost.
        if self.out.is_dir() or not self.out.parent.is_dir():
            raise EvaluationError(f"--out: expected a file in a folder that exists, got {self.out}")


def report(asked: ReportRequest, say: Callable[[str], None]) -> None:
    """Measures and writes the page: whole, or as it was before.

    Raises:
        TrainingError: no such data, episodes or run, or the page cannot be written.
        ArtifactError: an artifact is broken.
    """
    artifacts = load_artifacts([asked.artifact, *([asked.before] if asked.before else [])])
    curves = {}
    if asked.run is not None:
        curves = read_curves(asked.run)
        _check_run(asked.run, artifacts[0])
    drawn = draw(asked.trial)
    for line in drawn.told:
        say(line)
    with memory_advice(drawn):
        page = render(find(artifacts, drawn), asked.run.resolve().name if asked.run else "", curves)
    replace_file(asked.out, page)
    say(f"report    {asked.out}, {len(page) / 1e6:.1f} MB")


def _check_run(run: Path, artifact: Artifact) -> None:
    """Refuses a run whose settings are not those that the artifact says it was trained with.

    Raises:
        TrainingError: RUN has no readable configuration, or another one.
    """
    made_with = artifact.manifest.provenance.get("run", {})
    for key, value in config_file.flat(config_file.read(run / config_file.FILE)).items():
        there = list(value) if isinstance(value, tuple) else value
        if key in made_with and made_with[key] != there:
            raise EvaluationError(
                f"--run: expected the run that {artifact.manifest.name} was exported from, with "
                f"{key} {made_with[key]!r}, got {there!r}"
            )
