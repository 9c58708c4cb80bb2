"""Which image files a command line names, which labels their folders give them, which failed."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from exemplar.embedding import ItemError
from exemplar.errors import InvalidArgumentError

_SUFFIXES = {".jpg", ".jpeg", ".png", ".webp"}


@dataclass(frozen=True)
class LabelledFile:
    label: str
    path: Path


def image_paths(paths: Iterable[Path]) -> list[Path]:
    """Files as named, folders with all images below them, in the order of their names."""
    found = [file for path in paths for file in _below(path)]
    if not found:
        raise InvalidArgumentError(_expected("an image or a folder of images", paths))
    return found


def labelled_files(paths: Iterable[Path], label: str | None) -> list[LabelledFile]:
    """Each image with `label`, or else with the name of its folder in a folder of folders."""
    if label is not None:
        return [LabelledFile(label, file) for file in image_paths(paths)]
    found = [labelled for path in paths for labelled in _by_folder(path)]
    if not found:
        raise InvalidArgumentError(
            _expected("a folder of folders, each named by the label of its images", paths)
            + "; --label names the label of single files"
        )
    return found


def report_failures(outcomes: Iterable[tuple[Path, ItemError | None]]) -> int:
    """Each file with an error on stderr; the exit code."""
    failed = [(path, error) for path, error in outcomes if error]
    for path, error in failed:
        print(f"{path}: {error}", file=sys.stderr)
    return 1 if failed else 0


def _by_folder(path: Path) -> Iterator[LabelledFile]:
    folders = sorted(entry for entry in path.iterdir() if entry.is_dir()) if path.is_dir() else []
    for folder in folders:
        yield from (LabelledFile(folder.name, file) for file in _below(folder))


def _below(path: Path) -> Iterator[Path]:
    if path.is_dir():
        yield from sorted(
            file for file in path.rglob("*") if file.suffix.lower() in _SUFFIXES and file.is_file()
        )
    elif path.exists():
        yield path
    else:
        raise InvalidArgumentError(f"PATH: expected a file or folder, got {str(path)!r}")


def _expected(what: str, paths: Iterable[Path]) -> str:
    return f"PATH: expected {what}, got {', '.join(str(path) for path in paths)}"
