"""Room on SQLite's disk that is kept for deletions: without it, a full disk could not be emptied.

SQLite writes a deletion down before it frees anything, so a deletion needs room, too.
"""

from __future__ import annotations

import errno
import os
import sqlite3
from contextlib import closing, suppress
from typing import TYPE_CHECKING

from sqlalchemy.exc import DBAPIError

if TYPE_CHECKING:
    from pathlib import Path

    from sqlalchemy import Engine

MOST_BYTES = 32 * 2**20
SHARE_OF_DISK = 8  # of a small disk, an eighth
# The write-ahead log goes into the file at a quarter of the reserve: while that fails for lack of
# room it grows to twice as much, and all of it must fit into the file once the reserve is given up.
CHECKPOINTS_A_RESERVE = 4
# Kept where there is no room for all of it; as much again stays free for the log.
SMALLER = (2, 4, 8, 16)
FULL = {errno.ENOSPC, errno.EDQUOT}
GROW, STAY = 2**32 - 2, 1  # pages at most; for less than there are, SQLite takes those there are


def reserve_bytes(folder: Path) -> int:
    disk = os.statvfs(folder)
    return min(MOST_BYTES, disk.f_blocks * disk.f_frsize // SHARE_OF_DISK)


class Reserve:
    """A file beside the store that holds room, and nothing else. One thread only.

    While it is not whole, the store does not grow: what is added takes the place of what was
    deleted, and needs room on the disk for the write-ahead log only.
    """

    def __init__(self, path: Path, engine: Engine) -> None:
        """`engine` has the connection that writes."""
        self._path = path
        self._engine = engine
        self._bytes = reserve_bytes(path.parent)
        self._held_bytes = 0
        self._take()

    def gives_way(self, error: DBAPIError, *, makes_room: bool) -> bool:
        """Whether the error came for lack of room, and another try may find some.

        What `makes_room` gets all that is kept. `renew` must follow.
        """
        if getattr(error.orig, "sqlite_errorcode", None) != sqlite3.SQLITE_FULL:
            return False
        if makes_room:
            self._give_up()
            self._run(f"PRAGMA max_page_count={GROW}")
        self._run("PRAGMA wal_checkpoint(TRUNCATE)")
        return True

    def renew(self) -> None:
        """Keeps room again, as far as there is some. Costs nothing where it is whole."""
        if not self._held_bytes:
            self._run("PRAGMA wal_checkpoint(TRUNCATE)")
        if not self._is_whole and (not self._held_bytes or self._fits(self._bytes)):
            self._take()

    def close(self) -> None:
        self._give_up()

    @property
    def _is_whole(self) -> bool:
        return self._held_bytes == self._bytes

    def _fits(self, size: int) -> bool:
        """Whether the log has room beside it."""
        try:
            disk = os.statvfs(self._path.parent)
        except OSError:  # a disk that is gone is no reason for the writer to end
            return False
        free = disk.f_bavail * disk.f_frsize + self._held_bytes
        return free >= size + min(size, self._bytes // CHECKPOINTS_A_RESERVE)

    def _take(self) -> None:
        self._give_up()
        for part in (1, *SMALLER):
            if self._fits(self._bytes // part) and self._hold(self._bytes // part):
                self._held_bytes = self._bytes // part
                break
        self._run(f"PRAGMA max_page_count={GROW if self._is_whole else STAY}")

    def _give_up(self) -> None:
        with suppress(OSError):
            self._path.unlink(missing_ok=True)
        self._held_bytes = 0

    def _hold(self, size: int) -> bool:
        """False where the disk is full. Where no room can be kept for other reasons, none is."""
        try:
            descriptor = os.open(self._path, os.O_CREAT | os.O_WRONLY | os.O_CLOEXEC, 0o600)
            with closing(os.fdopen(descriptor, "wb")):
                os.posix_fallocate(descriptor, 0, size)
        except OSError as error:
            self._give_up()
            return error.errno not in FULL
        return True

    def _run(self, pragma: str) -> None:
        # Not by engine.connect(), which begins a transaction: a checkpoint cannot be in one.
        with (
            suppress(sqlite3.Error, DBAPIError),
            closing(self._engine.raw_connection()) as connection,
        ):
            connection.cursor().execute(pragma)
