"""What a report is about: embeddings of the same images, and what the heads made of each.

Shapes: N images, D dim.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from tqdm import tqdm

from exemplar_server.core.classify import ClassifyOptions
from exemplar_training.evaluation.embeddings import by_artifact, raw_pixels
from exemplar_training.evaluation.heads import head_name
from exemplar_training.evaluation.run import RAW_PIXELS, name_of, outcomes_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import numpy as np
    from numpy.typing import NDArray

    from exemplar_server.core.artifact import Artifact, Manifest
    from exemplar_training.data.image_set import ImageSet
    from exemplar_training.evaluation.episodes import Episodes
    from exemplar_training.evaluation.outcomes import Outcome
    from exemplar_training.evaluation.trial import Drawn

# What the details are about, chosen before anything is measured: the head that the server answers
# with unless it is told otherwise.
MAIN_HEAD = head_name(ClassifyOptions())


@dataclass(frozen=True)
class Subject:
    """One embedding. No manifest: raw pixels, what no backbone at all would answer."""

    name: str
    manifest: Manifest | None
    embeddings_ND: NDArray[np.float32]
    outcomes: list[Outcome]  # in the order of heads, then of n_shots

    def at(self, head: str, n_shot: int) -> Outcome:
        return next(o for o in self.outcomes if (o.head, o.n_shot) == (head, n_shot))

    @property
    def main(self) -> Outcome:
        """By MAIN_HEAD, with the most exemplars."""
        return self.at(MAIN_HEAD, max(o.n_shot for o in self.outcomes))


@dataclass(frozen=True)
class Findings:
    """The subjects, at least two: the first is the new one, the second what it is held against."""

    drawn: Drawn
    subjects: list[Subject]

    @property
    def after(self) -> Subject:
        return self.subjects[0]

    @property
    def before(self) -> Subject:
        return self.subjects[1]

    @property
    def images(self) -> ImageSet:
        return self.drawn.images

    @property
    def heads(self) -> list[str]:
        return list(dict.fromkeys(o.head for o in self.after.outcomes))

    @property
    def main_episodes(self) -> Episodes:
        n_shots = self.drawn.trial.n_shots
        return self.drawn.episodes[n_shots.index(self.after.main.n_shot)]

    @property
    def main_told(self) -> str:
        """Which of the measurements the details are about."""
        n_way, n_shot = self.drawn.trial.n_way, self.after.main.n_shot
        return f"{n_way}-way {n_shot}-shot, {MAIN_HEAD}"


def find(artifacts: Sequence[Artifact], drawn: Drawn) -> Findings:
    """Embeds the images with each artifact, then as raw pixels, and plays the episodes."""
    made = list(_embeddings(artifacts, drawn.images))
    bar = tqdm(made, "episodes", unit="embedding", disable=None)
    subjects = [
        Subject(name, manifest, embeddings_ND, outcomes_of(name, embeddings_ND, drawn))
        for name, manifest, embeddings_ND in bar
    ]
    return Findings(drawn, subjects)


def _embeddings(
    artifacts: Sequence[Artifact], images: ImageSet
) -> Iterator[tuple[str, Manifest | None, NDArray[np.float32]]]:
    for artifact in artifacts:
        name = name_of(artifact)
        yield name, artifact.manifest, by_artifact(artifact, images, name)
    yield RAW_PIXELS, None, raw_pixels(images)
