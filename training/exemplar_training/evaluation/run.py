"""One evaluation from end to end: images, episodes, embeddings, heads, table, JSON.

Shapes: N images, D dim.
"""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from exemplar_server.core.artifact import load_artifact
from exemplar_training.errors import EvaluationError, UnknownBackboneError
from exemplar_training.evaluation import outcomes
from exemplar_training.evaluation.embeddings import by_artifact, raw_pixels
from exemplar_training.evaluation.heads import HEADS
from exemplar_training.evaluation.trial import draw, memory_advice

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from exemplar_server.core.artifact import Artifact, Manifest
    from exemplar_training.data.image_set import ImageSet
    from exemplar_training.evaluation.outcomes import Outcome
    from exemplar_training.evaluation.trial import Drawn, Trial

    Say = Callable[[str], None]

RAW_PIXELS = "raw pixels"


@dataclass(frozen=True)
class Evaluation:
    """What to evaluate on what."""

    artifacts: tuple[Path, ...]
    trial: Trial
    has_floors: bool
    json_file: Path | None

    def __post_init__(self) -> None:
        path = self.json_file  # refused before the minutes of work that would be lost
        if path and (path.is_dir() or not path.parent.is_dir()):
            raise EvaluationError(f"--json: expected a file in a folder that exists, got {path}")


def evaluate(asked: Evaluation, say: Say) -> None:
    """Measures, says the table line by line and writes the JSON, where it is asked for.

    Raises:
        TrainingError: no such data, no such episodes can be drawn from them, or too little memory.
        ArtifactError: an artifact is broken.
    """
    artifacts = load_artifacts(asked.artifacts)
    drawn = draw(asked.trial)
    for line in [*drawn.told, ""]:
        say(line)
    with memory_advice(drawn):
        found = [
            each
            for name, embeddings_ND in _embeddings(artifacts, drawn.images, asked, say)
            for each in outcomes_of(name, embeddings_ND, drawn)
        ]
    differences = outcomes.differences(found)
    for line in [*outcomes.table(found), "", *outcomes.differences_table(differences)]:
        say(line)
    if asked.json_file:
        document = _facts(artifacts, drawn) | outcomes.as_json(found)
        _write(asked.json_file, json.dumps(document, indent=2) + "\n")


def load_artifacts(directories: Sequence[Path]) -> list[Artifact]:
    """The artifacts, which must have names of their own."""
    artifacts = [load_artifact(directory) for directory in directories]
    for name, count in Counter(map(name_of, artifacts)).items():
        if count > 1:
            raise EvaluationError(f"--artifact: expected different NAME/VERSION, got two {name}")
    return artifacts


def outcomes_of(name: str, embeddings_ND: NDArray[np.float32], drawn: Drawn) -> list[Outcome]:
    """What every head did, in the order of heads, then of n_shots."""
    return [
        outcomes.outcome(name, embeddings_ND, episodes, options, drawn.images.class_names)
        for options in HEADS
        for episodes in drawn.episodes
    ]


def name_of(artifact: Artifact) -> str:
    return f"{artifact.manifest.name}/{artifact.manifest.version}"


def _embeddings(
    artifacts: Sequence[Artifact], images: ImageSet, asked: Evaluation, say: Say
) -> Iterator[tuple[str, NDArray[np.float32]]]:
    """The artifacts' embeddings (N, D), then the floors', one at a time in memory."""
    for artifact in artifacts:
        yield name_of(artifact), by_artifact(artifact, images, name_of(artifact))
    if not asked.has_floors:
        return
    yield RAW_PIXELS, raw_pixels(images)
    for name, manifest in _networks(artifacts).items():
        yield from _untrained(name, manifest, images, asked.trial.seed, say)


def _networks(artifacts: Sequence[Artifact]) -> dict[str, Manifest]:
    """One manifest for each architecture that the artifacts name."""
    manifests = [artifact.manifest for artifact in artifacts]
    return {m.provenance["backbone"]: m for m in manifests if "backbone" in m.provenance}


def _untrained(
    network: str, manifest: Manifest, images: ImageSet, seed: int, say: Say
) -> Iterator[tuple[str, NDArray[np.float32]]]:
    """Nothing but a line that says why, where no network of this name can be built here."""
    # Here, because torch takes seconds to import and not every evaluation needs it.
    from exemplar_training.evaluation.untrained import by_untrained  # noqa: PLC0415

    try:
        embeddings_ND = by_untrained(manifest, images, seed)
    except UnknownBackboneError as error:
        say(f"untrained {network}: left out: {error}\n")
        return
    yield f"untrained {network}", embeddings_ND


def _facts(artifacts: Sequence[Artifact], drawn: Drawn) -> dict[str, Any]:
    """What was evaluated on what; no paths, so that equal evaluations are equal."""
    return {
        "artifacts": [
            {"name": name_of(artifact), "fingerprint": artifact.manifest.fingerprint}
            for artifact in artifacts
        ],
        "data": {
            "name": drawn.images.name,
            "parts": drawn.trial.parts,
            "images": len(drawn.images),
            "classes": drawn.class_count,
        },
        "episodes": [asdict(spec) for spec in drawn.trial.specs],
    }


def _write(path: Path, text: str) -> None:
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise EvaluationError(f"--json: cannot write {path}: {error.strerror}") from error
