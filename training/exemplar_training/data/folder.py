"""Loads images that lie in one folder a class; the files are read when they are asked for.

Shapes: N images.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from exemplar_training.data.image_set import ImageSet
from exemplar_training.data.layout import DESCRIPTION_FILE, read_description
from exemplar_training.errors import DataError

if TYPE_CHECKING:
    from exemplar_training.data.layout import Description

_SUFFIXES = (".jpeg", ".jpg", ".png", ".webp")  # what the server decodes
UNLABELLED = "unlabelled"  # the class of images that have none


def load(root: Path, name: str, parts: Sequence[str] | None = None) -> ImageSet:
    """The fetched set ROOT/NAME: of `parts`, in that order, or of all.

    A class_id counts `class_names` of the whole set, and a source its parts in sorted order, so
    both mean the same whatever parts are loaded. Splits have no sources. Counts are checked against
    data.json; only `fetch` hashes what the files hold.

    Raises:
        DataError: no such set or part (says how to fetch it), or images are missing or too many.
    """
    root = root.expanduser()
    folder = root / name
    if not (folder / DESCRIPTION_FILE).is_file():
        raise DataError(f"set {name}: expected it in {root}, found none: {_advice(root, name)}")
    description = read_description(folder)
    images = []
    for part in _checked_parts(description, parts):
        found = _images_of(folder / part, part)
        _check_counts(root, description, part, found)
        images += found
    sources = sorted(description.counts) if description.parts == "sources" else None
    return _image_set(name, images, description.class_names, sources)


def load_folder(path: Path) -> ImageSet:
    """Any folder with a folder of images for each class, at any depth below it.

    Classes and files are sorted by name. Each image is a source of its own.

    Raises:
        DataError: no folder there, no class folder in it, or an empty one, which is named.
    """
    path = path.expanduser()
    if not path.is_dir():
        raise DataError(f"{path}: expected a folder with a folder for each class, found none")
    images = _images_of(path, "")
    class_names = tuple(sorted({image.class_name for image in images}))
    return _image_set(path.resolve().name, images, class_names, None)


def load_images(path: Path) -> ImageSet:
    """Any folder with images at any depth below it, sorted by name.

    The class of an image is the first folder that it lies in, where all lie in one; else all are
    of one class.

    Raises:
        DataError: no folder there, or no image in it.
    """
    path = path.expanduser()
    if not path.is_dir():
        raise DataError(f"{path}: expected a folder with images, found none")
    paths = _some_paths_of(path)
    below = [Path(each).relative_to(path).parts for each in paths]
    has_classes = all(len(parts) > 1 for parts in below)
    names = [parts[0] if has_classes else UNLABELLED for parts in below]
    images = [_Image(each, name, "") for each, name in zip(paths, names, strict=True)]
    return _image_set(path.resolve().name, images, tuple(sorted(set(names))), None)


@dataclass(frozen=True)
class _Image:
    path: str
    class_name: str
    part: str


class _Files(Sequence[bytes]):
    """The content of files, read at each access."""

    def __init__(self, paths: Sequence[str]) -> None:
        self._paths = paths

    def __len__(self) -> int:
        return len(self._paths)

    def __getitem__(self, index: int) -> bytes:  # type: ignore[override]
        path = Path(self._paths[index])
        try:
            return path.read_bytes()
        except OSError as error:
            raise DataError(f"{path}: expected an image, got {error}") from error


def _image_set(
    name: str, images: list[_Image], class_names: tuple[str, ...], sources: Sequence[str] | None
) -> ImageSet:
    """`sources` are the names of all there are; None: the images have none."""
    class_ids, paths = _places(class_names), [image.path for image in images]
    class_ids_N = np.array([class_ids[image.class_name] for image in images], np.int64)
    sources_N = None
    if sources is not None:
        source_ids = _places(sources)
        sources_N = np.array([source_ids[image.part] for image in images], np.int64)
    return ImageSet(name, _Files(paths), class_ids_N, class_names, sources_N, paths)


def _places(names: Sequence[str]) -> dict[str, int]:
    return {name: place for place, name in enumerate(names)}


def _images_of(folder: Path, part: str) -> list[_Image]:
    """Every image below a folder of class folders; raises DataError for an empty one."""
    class_names = _class_names(folder)
    if not class_names:
        raise DataError(f"{folder}: expected a folder for each class, found none")
    images = []
    for class_name in class_names:
        images += [_Image(path, class_name, part) for path in _some_paths_of(folder / class_name)]
    return images


def _class_names(folder: Path) -> list[str]:
    try:
        with os.scandir(folder) as entries:
            return sorted(it.name for it in entries if it.is_dir() and not it.name.startswith("."))
    except OSError as error:
        raise DataError(f"{folder}: expected a folder for each class, got {error}") from error


def _some_paths_of(folder: Path) -> list[str]:
    paths = _paths_of(folder)
    if not paths:
        raise DataError(f"{folder}: expected images ({' '.join(_SUFFIXES)}), found none")
    return paths


def _paths_of(folder: Path) -> list[str]:
    """os.walk, because pathlib takes seconds for 60,000 files."""
    return sorted(
        os.path.join(at, file)  # noqa: PTH118 - see above
        for at, _, files in os.walk(folder)
        for file in files
        if file.lower().endswith(_SUFFIXES) and not file.startswith(".")
    )


def _checked_parts(description: Description, parts: Sequence[str] | None) -> Sequence[str]:
    there = sorted(description.counts)
    for part in parts or ():
        if part not in there:
            raise DataError(f"set {description.name}: no part {part}, expected {', '.join(there)}")
    return there if parts is None else parts


def _check_counts(root: Path, description: Description, part: str, found: list[_Image]) -> None:
    expected = description.counts[part]
    got = Counter(image.class_name for image in found)
    for class_name in sorted(expected.keys() | got.keys()):
        count = expected.get(class_name, 0)
        if got[class_name] != count:
            raise DataError(
                f"{root / description.name / part / class_name}: expected {count} images, "
                f"got {got[class_name]}: {_advice(root, description.name)}"
            )


def _advice(root: Path, name: str) -> str:
    return f"exemplar-train data fetch {name} --root {root}"
