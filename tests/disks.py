"""Small disks for tests, and ways to break them under a running server. Each is ended by its block.

Mounting takes root: where that is not to be had, the test is skipped and says so.
"""

from __future__ import annotations

import os
import resource
import subprocess
import tempfile
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import watchdog

if TYPE_CHECKING:
    from collections.abc import Iterator

MEGABYTE = 2**20


@contextmanager
def small_disk(megabytes: int) -> Iterator[Path]:
    """An empty one in memory, with so much room."""
    with _mounted("-t", "tmpfs", "-o", f"size={megabytes}m", "exemplar-test") as folder:
        yield folder


@contextmanager
def loop_disk(image: Path) -> Iterator[Path]:
    """A file with a file system of its own, made where it is not there yet."""
    if not image.exists():
        with image.open("wb") as file:
            file.truncate(64 * MEGABYTE)
        _done_or_skipped("mkfs.ext4", "-q", str(image))
    with _mounted("-o", "loop", str(image)) as folder:
        yield folder


def break_disk(folder: Path) -> None:
    """From now on it can only be read, as where a disk fails: ext4 gives up its journal."""
    _done_or_skipped("mount", "-o", "remount,abort", str(folder))


@contextmanager
def failing_writes(process_id: int) -> Iterator[None]:
    """The process gets an I/O error from each write to a file."""
    soft, hard = resource.prlimit(process_id, resource.RLIMIT_FSIZE)
    resource.prlimit(process_id, resource.RLIMIT_FSIZE, (0, hard))
    try:
        yield
    finally:
        resource.prlimit(process_id, resource.RLIMIT_FSIZE, (soft, hard))


def fill(folder: Path) -> Path:
    """Takes all room that is left; returns the file that has it."""
    path = folder / "somebody-elses"
    with path.open("wb", buffering=0) as file:
        for size in (MEGABYTE, 4096, 1):
            with suppress(OSError):
                while file.write(bytes(size)):
                    pass
    return path


@contextmanager
def _mounted(*arguments: str) -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="exemplar-disk-") as folder:
        watchdog.begun(watchdog.FOLDER, folder)
        _done_or_skipped("mount", *arguments, folder)
        watchdog.begun(watchdog.MOUNT, folder)
        try:
            yield Path(folder)
        finally:
            subprocess.run(["umount", folder], check=True)  # noqa: S607 - the system's
            watchdog.ended(watchdog.MOUNT, folder)


def _done_or_skipped(*command: str) -> None:
    if os.geteuid() != 0:
        pytest.skip(f"{command[0]}: takes root")
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"{command[0]}: not permitted here: {done.stderr.strip()}")
