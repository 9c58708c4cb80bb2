"""What arms have seen of the images that judge them: refused with labels, told without."""

from __future__ import annotations

from typing import TYPE_CHECKING

from exemplar_training.errors import EvaluationError
from exemplar_training.evaluation.leaks import FILE, SOURCE, overlaps

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from exemplar_training.comparison.study import ArmRun
    from exemplar_training.data.image_set import ImageSet
    from exemplar_training.evaluation.leaks import Overlap
    from exemplar_training.fit.images import RunImages


def warnings_of(
    runs: Sequence[ArmRun], given: Mapping[str, RunImages], judging: ImageSet
) -> list[str]:
    """A line for each thing that arms have seen of `judging` and may have.

    One run of each arm; `given` has its images by its name. Reads every file.

    Raises:
        EvaluationError: an arm would learn judging classes of the same set, or judging images, by
            their labels: its figures would say nothing of new ones.
    """
    arms_by_words: dict[str, list[str]] = {}
    for run in runs:
        for images, is_labelled in _shown(run, given[run.name]):
            for overlap in _overlaps(images, judging):
                is_leak = overlap.what == FILE or images.name == judging.name
                if is_labelled and is_leak and overlap.what != SOURCE:
                    expected = f"to learn from no judging {overlap.what}"
                    raise EvaluationError(
                        f"arms.{run.name}: expected {expected}, got {overlap.told}"
                    )
                without = "" if is_labelled else ", without labels"
                words = f"judging {overlap.what} seen in training{without}: {overlap.told}"
                arms_by_words.setdefault(words, []).append(run.name)
    return [f"{', '.join(arms)}: {words}" for words, arms in arms_by_words.items()]


def _overlaps(images: ImageSet, judging: ImageSet) -> Iterator[Overlap]:
    """But for sources of another set, which are numbered otherwise."""
    for overlap in overlaps(images, judging):
        if overlap.what != SOURCE or images.name == judging.name:
            yield overlap


def _shown(run: ArmRun, given: RunImages) -> Iterator[tuple[ImageSet, bool]]:
    """What the run learns from, each with whether it is told the labels."""
    if not run.config.schedule.steps:
        return
    yield given.images, not run.config.is_unlabelled
    if given.target is not None:
        yield given.target, False
