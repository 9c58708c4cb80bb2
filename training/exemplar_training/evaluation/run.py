"""One evaluation from end to end: images, episodes, embeddings, heads, table, JSON.

Shapes: N images, D dim.
"""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from exemplar_server.core.artifact import load_artifact
from exemplar_training.data.folder import load, load_folder
from exemplar_training.data.layout import DESCRIPTION_FILE, read_description
from exemplar_training.errors import EvaluationError, UnknownBackboneError
from exemplar_training.evaluation import report
from exemplar_training.evaluation.embeddings import by_artifact, raw_pixels
from exemplar_training.evaluation.episodes import EpisodeSpec, sample
from exemplar_training.evaluation.heads import HEADS
from exemplar_training.evaluation.leaks import without_copies

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    import numpy as np
    from numpy.typing import NDArray

    from exemplar_server.core.artifact import Artifact, Manifest
    from exemplar_training.data.image_set import ImageSet

    Say = Callable[[str], None]

_DEFAULT_PART = "test"


@dataclass(frozen=True)
class Evaluation:
    """What to evaluate. `data` is a folder or the name of a set under `root`; None is all parts.

    But where a set has a part "test", no `parts` mean that one.
    """

    artifacts: tuple[Path, ...]
    data: str
    root: Path
    parts: list[str] | None
    n_way: int
    n_shots: tuple[int, ...]
    n_query: int
    episodes: int
    seed: int
    has_floors: bool
    json_file: Path | None

    def __post_init__(self) -> None:
        path = self.json_file  # refused before the minutes of work that would be lost
        if path and (path.is_dir() or not path.parent.is_dir()):
            raise EvaluationError(f"--json: expected a file in a folder that exists, got {path}")

    @property
    def specs(self) -> list[EpisodeSpec]:
        return [
            EpisodeSpec(self.n_way, n_shot, self.n_query, self.episodes, self.seed)
            for n_shot in self.n_shots
        ]


def evaluate(asked: Evaluation, say: Say) -> None:
    """Measures, says the table line by line and writes the JSON, where it is asked for.

    Raises:
        TrainingError: no such data, or no such episodes can be drawn from them.
        ArtifactError: an artifact is broken.
    """
    artifacts = _artifacts(asked)
    found = _images(asked)
    images = without_copies(found, max(asked.n_shots) + asked.n_query)
    say(_data_told(images, found))
    say(_episodes_told(asked) + "\n")
    episodes = [sample(images, spec) for spec in asked.specs]
    outcomes = [
        report.outcome(name, embeddings_ND, drawn, options, images.class_names)
        for name, embeddings_ND in _embeddings(artifacts, images, asked, say)
        for options in HEADS
        for drawn in episodes
    ]
    differences = report.differences(outcomes)
    for line in [*report.table(outcomes), "", *report.differences_table(differences)]:
        say(line)
    if asked.json_file:
        document = _facts(artifacts, images, asked) | report.as_json(outcomes)
        _write(asked.json_file, json.dumps(document, indent=2) + "\n")


def _artifacts(asked: Evaluation) -> list[Artifact]:
    artifacts = [load_artifact(directory) for directory in asked.artifacts]
    for name, count in Counter(map(_name, artifacts)).items():
        if count > 1:
            raise EvaluationError(f"--artifact: expected different NAME/VERSION, got two {name}")
    return artifacts


def _images(asked: Evaluation) -> ImageSet:
    folder = Path(asked.data)
    if folder.is_dir():
        if asked.parts:
            raise EvaluationError(f"--part: expected none with a folder, got {asked.parts[0]}")
        return load_folder(folder)
    parts = asked.parts or _default_parts(asked.root / asked.data)
    return load(asked.root, asked.data, parts)


def _default_parts(folder: Path) -> list[str] | None:
    """None where there is no such part, as in sets whose parts are sources, or no such set."""
    if not (folder / DESCRIPTION_FILE).is_file():
        return None
    return [_DEFAULT_PART] if _DEFAULT_PART in read_description(folder).counts else None


def _embeddings(
    artifacts: Sequence[Artifact], images: ImageSet, asked: Evaluation, say: Say
) -> Iterator[tuple[str, NDArray[np.float32]]]:
    """The artifacts' embeddings (N, D), then the floors', one at a time in memory."""
    for artifact in artifacts:
        yield _name(artifact), by_artifact(artifact, images, _name(artifact))
    if not asked.has_floors:
        return
    yield "raw pixels", raw_pixels(images)
    for name, manifest in _networks(artifacts).items():
        yield from _untrained(name, manifest, images, asked.seed, say)


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


def _name(artifact: Artifact) -> str:
    return f"{artifact.manifest.name}/{artifact.manifest.version}"


def _data_told(images: ImageSet, found: ImageSet) -> str:
    sources = "each its own source"
    if images.sources_N is not None:
        sources = f"{len(set(images.sources_N.tolist()))} sources"
    left_out = f"left out as copies: {len(found) - len(images)}"
    if _class_count(found) != _class_count(images):
        left_out += f", with {_class_count(found) - _class_count(images)} classes"
    return (
        f"data      {images.name}: {len(images)} images of {_class_count(images)} classes, "
        f"{sources}; {left_out}"
    )


def _class_count(images: ImageSet) -> int:
    return len(set(images.class_ids_N.tolist()))


def _episodes_told(asked: Evaluation) -> str:
    shots = ", ".join(map(str, asked.n_shots))
    return (
        f"episodes  {asked.episodes}, {asked.n_way}-way, {shots}-shot, "
        f"n_query {asked.n_query}, seed {asked.seed}"
    )


def _facts(artifacts: Sequence[Artifact], images: ImageSet, asked: Evaluation) -> dict[str, Any]:
    """What was evaluated on what; no paths, so that equal evaluations are equal."""
    return {
        "artifacts": [
            {"name": _name(artifact), "fingerprint": artifact.manifest.fingerprint}
            for artifact in artifacts
        ],
        "data": {
            "name": images.name,
            "parts": asked.parts,
            "images": len(images),
            "classes": _class_count(images),
        },
        "episodes": [asdict(spec) for spec in asked.specs],
    }


def _write(path: Path, text: str) -> None:
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise EvaluationError(f"--json: cannot write {path}: {error.strerror}") from error
