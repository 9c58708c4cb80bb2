"""Files that are whole or not there at all."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from exemplar_training.errors import CheckpointError

if TYPE_CHECKING:
    from pathlib import Path


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
        _sync_directory(path.parent)
    except OSError as error:
        raise CheckpointError(f"out: expected a writable folder, got {error}") from error
    finally:
        partial.unlink(missing_ok=True)


def _sync_directory(directory: Path) -> None:
    """Makes the rename itself last."""
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
