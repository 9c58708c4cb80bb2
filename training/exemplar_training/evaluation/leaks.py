"""What would flatter a number: copies of an image, and classes or sources seen in training."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from exemplar_training.errors import EvaluationError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from exemplar_training.data.image_set import ImageSet

CLASS, SOURCE, FILE = "class", "source", "file (sha256)"
_SHOWN = 3


@dataclass(frozen=True)
class Overlap:
    """What two sets of images share: a kind of thing, and which ones, sorted."""

    what: str
    shared: tuple[str, ...]

    @property
    def told(self) -> str:
        return f"{len(self.shared)}, such as {', '.join(self.shared[:_SHOWN])}"


def without_copies(images: ImageSet, need: int) -> ImageSet:
    """The images without those whose bytes occurred before, in order. Reads every file.

    A class that had `need` images and has fewer without its copies goes too: another class has
    the same picture, and no answer could tell the two apart. A class that never had them stays.
    """
    first: dict[bytes, int] = {}
    for row, digest in enumerate(_digests(images)):
        first.setdefault(digest, row)
    kept = images.of(np.fromiter(first.values(), np.int64, len(first)))
    before_C, after_C = (
        np.bincount(some.class_ids_N, minlength=len(images.class_names)) for some in (images, kept)
    )
    is_kept_C = (after_C >= need) | (before_C < need)
    return kept.of_classes(np.flatnonzero(is_kept_C).tolist())


def refuse_overlap(base: ImageSet, novel: ImageSet) -> None:
    """Refuses novel images that training has seen: of its classes, its sources or equal files.

    Raises:
        EvaluationError: names what base and novel share.
    """
    for overlap in overlaps(base, novel):
        raise EvaluationError(
            f"base and novel: expected no common {overlap.what}, got {overlap.told}"
        )


def overlaps(base: ImageSet, novel: ImageSet) -> Iterator[Overlap]:
    """What both have: classes by their names, then sources, then equal files; only what there is.

    Reads every file. Sources are compared where both sets have them, numbered alike.
    """
    yield from _shared(CLASS, _used_names(base), _used_names(novel))
    if base.sources_N is not None and novel.sources_N is not None:
        yield from _shared(SOURCE, base.sources_N.tolist(), novel.sources_N.tolist())
    digests = ((d.hex()[:12] for d in _digests(images)) for images in (base, novel))
    yield from _shared(FILE, *digests)


def _used_names(images: ImageSet) -> list[str]:
    return [images.class_names[class_id] for class_id in np.unique(images.class_ids_N)]


def _shared(what: str, base: Iterable[object], novel: Iterable[object]) -> Iterator[Overlap]:
    shared = sorted(map(str, set(base) & set(novel)))
    if shared:
        yield Overlap(what, tuple(shared))


def _digests(images: ImageSet) -> Iterable[bytes]:
    return (hashlib.sha256(images.files[row]).digest() for row in range(len(images)))
