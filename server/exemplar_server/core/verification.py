"""What `exemplar-server verify` found, and how it looks into files."""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, BinaryIO

from exemplar_server.core import archive, backup_file
from exemplar_server.core.backup_file import BackupFile, bytes_of
from exemplar_server.core.support_set_file import FORMAT as SUPPORT_SET
from exemplar_server.core.support_set_reading import SupportSetFile

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from exemplar_server.core.backup_file import Row
    from exemplar_server.core.exemplars import NewExemplar

# How much of what is wrong is told one by one.
TOLD = 20


@dataclass(frozen=True)
class Check:
    """How many were looked at, how many are wrong, and what is wrong with the first of them."""

    what: str
    examined: int
    wrong_count: int
    wrong: tuple[str, ...]


def check_of(what: str, findings: Iterable[str | None]) -> Check:
    """One finding each: None where nothing is wrong."""
    examined, wrong_count = 0, 0
    told: list[str] = []
    for finding in findings:
        examined += 1
        if finding is not None:
            wrong_count += 1
            if len(told) < TOLD:
                told.append(finding)
    return Check(what, examined, wrong_count, tuple(told))


def verify_file(file: BinaryIO) -> list[Check]:
    """Of a backup or of an exported support set.

    Raises:
        InvalidInputError: it is not whole, or neither of them.
    """
    archive.check(file)
    manifest = archive.content(file, archive.member_at(file, 0), backup_file.MANIFEST_BYTES)
    if f'"{SUPPORT_SET}"'.encode() in manifest:
        exported = SupportSetFile(file, _any, archive.members_end(file))
        count = exported.support_set.exemplar_count
        return [Check("exemplars of the support set", count, 0, ())]
    backup = BackupFile(file)
    return [
        check_of("rows of the backup's tables", _tables(backup)),
        check_of("embeddings of the backup", _embeddings(backup)),
    ]


def is_intact(values: bytes, crc32: int) -> bool:
    return zlib.crc32(values) == crc32


def _any(_path: str, _exemplar: NewExemplar) -> None:
    """What is a good label depends on the server's settings, not on the file."""


def _tables(backup: BackupFile) -> Iterator[str | None]:
    found = dict.fromkeys(backup.counts, 0)
    for table, rows in backup.rows():
        found[table] = found.get(table, 0) + len(rows)
    for table, count in found.items():
        expected = backup.counts.get(table, 0)
        yield None if count == expected else f"{table}: expected {expected} rows, got {count}"


def _embeddings(backup: BackupFile) -> Iterator[str | None]:
    for _, rows in backup.rows():
        for row in rows:
            if "crc32" in row:
                yield _embedding(row)


def _embedding(row: Row) -> str | None:
    if is_intact(bytes_of(row["values"]), row["crc32"]):
        return None
    return f"{row['incarnation']}/{row['exemplar_id']}: is not what was written"
