"""Puts an artifact in its place whole or not at all."""

from __future__ import annotations

import os
import shutil
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

from exemplar_server.core.artifact import Artifact, load_artifact
from exemplar_training.errors import ExportError
from exemplar_training.files import replace_directory, sync_directory

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@contextmanager
def scratch_directory(parent: Path, name: str) -> Iterator[Path]:
    """An empty hidden sibling of `parent / name`, gone afterwards unless it was moved.

    Raises:
        ExportError: the file system refuses, here or in what runs inside.
    """
    scratch = parent / f".{name}.{os.getpid()}.partial"
    try:
        parent.mkdir(parents=True, exist_ok=True)
        shutil.rmtree(scratch, ignore_errors=True)  # of a killed process with the same id
        scratch.mkdir()
        yield scratch
    except OSError as error:
        raise ExportError(f"out: expected a writable directory, got {error}") from error
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def publish(scratch: Path, target: Path) -> Artifact:
    """Moves `scratch`, once verified, to `target`; what is there is replaced unless it is equal."""
    artifact = load_artifact(scratch)
    if not _is_equal(scratch, target):
        _sync(scratch)
        replace_directory(scratch, target)
        sync_directory(target.parent)
    return replace(artifact, directory=target)


def _is_equal(one: Path, other: Path) -> bool:
    names = sorted(path.name for path in one.iterdir())
    if not other.is_dir() or names != sorted(path.name for path in other.iterdir()):
        return False
    return all((one / name).read_bytes() == (other / name).read_bytes() for name in names)


def _sync(directory: Path) -> None:
    for path in directory.iterdir():
        with path.open("rb") as file:
            os.fsync(file.fileno())
    sync_directory(directory)
