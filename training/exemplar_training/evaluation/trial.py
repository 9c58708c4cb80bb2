"""What embeddings are tried on: images, and the episodes that are drawn from them."""

from __future__ import annotations

import os
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from exemplar_training.data.folder import load, load_folder
from exemplar_training.data.layout import DESCRIPTION_FILE, read_description
from exemplar_training.errors import EvaluationError
from exemplar_training.evaluation.episodes import EpisodeSpec, sample
from exemplar_training.evaluation.leaks import without_copies

if TYPE_CHECKING:
    from collections.abc import Iterator

    from exemplar_training.data.image_set import ImageSet
    from exemplar_training.evaluation.episodes import Episodes

_DEFAULT_PART = "test"


@dataclass(frozen=True)
class Trial:
    """What to draw. `data` is a folder or the name of a set under `root`; None is all parts.

    But where a set has a part "test", no `parts` mean that one. No `classes` are all of them.
    """

    data: str
    root: Path
    parts: list[str] | None
    n_way: int
    n_shots: tuple[int, ...]
    n_query: int
    episodes: int
    seed: int
    classes: tuple[str, ...] = ()

    @property
    def specs(self) -> list[EpisodeSpec]:
        return [
            EpisodeSpec(self.n_way, n_shot, self.n_query, self.episodes, self.seed)
            for n_shot in self.n_shots
        ]


@dataclass(frozen=True)
class Drawn:
    """The images of a trial, less copies, and its episodes, one Episodes for each n_shot."""

    trial: Trial
    images: ImageSet
    copies: int
    classes_left_out: int
    episodes: list[Episodes]

    @property
    def class_count(self) -> int:
        return _class_count(self.images)

    @property
    def told(self) -> list[str]:
        """A line about the images and one about the episodes."""
        images = f"{len(self.images)} images of {self.class_count} classes, {self.sources_told}"
        return [f"data      {self.images.name}: {images}", f"episodes  {self.episodes_told}"]

    @property
    def sources_told(self) -> str:
        sources = "each its own source"
        if self.images.sources_N is not None:
            sources = f"{len(set(self.images.sources_N.tolist()))} sources"
        classes = f", with {self.classes_left_out} classes" if self.classes_left_out else ""
        return f"{sources}; left out as copies: {self.copies}{classes}"

    @property
    def episodes_told(self) -> str:
        trial = self.trial
        shots = ", ".join(map(str, trial.n_shots))
        asked = f"n_query {trial.n_query}, seed {trial.seed}"
        return f"{trial.episodes}, {trial.n_way}-way, {shots}-shot, {asked}"


def draw(trial: Trial) -> Drawn:
    """Reads every file once, to find copies.

    Raises:
        TrainingError: no such data, or no such episodes can be drawn from them.
    """
    specs = trial.specs
    found = images_of(trial.data, trial.root, trial.parts)
    if trial.classes:
        found = found.of_classes(found.ids_of(trial.classes, "classes"))
    images = without_copies(found, max(trial.n_shots) + trial.n_query)
    return Drawn(
        trial,
        images,
        len(found) - len(images),
        _class_count(found) - _class_count(images),
        [sample(images, spec) for spec in specs],
    )


@contextmanager
def memory_advice(drawn: Drawn) -> Iterator[None]:
    """Out of memory becomes an error that says what takes less.

    Raises:
        EvaluationError: the images' embeddings do not fit.
    """
    try:
        yield
    except MemoryError as error:
        raise EvaluationError(
            f"memory: expected room for the embeddings of {len(drawn.images):,} images, got too "
            "little: try fewer images, by --part or as a folder of some of them"
        ) from error


def images_of(
    data: str, root: Path, parts: list[str] | None = None, part: str = _DEFAULT_PART
) -> ImageSet:
    """The images of a folder, or of a set under `root`: of `parts`, or else of `part` or of all.

    Raises:
        TrainingError: no such data.
    """
    folder = Path(data)
    if os.sep in data or folder.is_dir():
        if parts:
            raise EvaluationError(f"--part: expected none with a folder, got {parts[0]}")
        return load_folder(folder)
    return load(root, data, parts or _default_parts(root / data, part))


def _default_parts(folder: Path, part: str) -> list[str] | None:
    """None where there is no such part, as in sets whose parts are sources, or no such set."""
    if not (folder / DESCRIPTION_FILE).is_file():
        return None
    return [part] if part in read_description(folder).counts else None


def _class_count(images: ImageSet) -> int:
    return len(set(images.class_ids_N.tolist()))
