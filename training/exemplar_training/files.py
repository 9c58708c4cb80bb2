"""Files and directories that are whole or not there at all."""

from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING

from exemplar_training.errors import CheckpointError

if TYPE_CHECKING:
    from pathlib import Path


def make_output(folder: Path) -> None:
    """The folder that --out names, made where it is not there.

    Raises:
        CheckpointError: the file system refuses.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise CheckpointError(f"--out: expected a writable folder, got {error}") from error


def replace_file(path: Path, *parts: bytes | memoryview) -> None:
    """Writes the parts beside `path`, then renames: a crash leaves the old file or the new one.

    Raises:
        CheckpointError: the file system refuses; `path` is as it was.
    """
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        with partial.open("wb") as file:
            for part in parts:
                file.write(part)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
        sync_directory(path.parent)
    except OSError as error:
        raise CheckpointError(f"out: expected a writable folder, got {error}") from error
    finally:
        partial.unlink(missing_ok=True)


def replace_directory(scratch: Path, target: Path) -> None:
    """Two renames: in between `target` is missing, never half written; raises OSError."""
    retired = scratch.with_suffix(".retired")
    shutil.rmtree(retired, ignore_errors=True)  # of a process that was killed
    if not target.exists():
        scratch.rename(target)
        return
    target.rename(retired)
    try:
        scratch.rename(target)
    except OSError:
        retired.rename(target)
        raise
    shutil.rmtree(retired)


def sync_directory(directory: Path) -> None:
    """Makes renames in it last."""
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
