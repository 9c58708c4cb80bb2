"""A backup of a whole store as one file, whatever database it came from: written and read.

The file is an archive (archive.py) of these members:

    manifest.json   format, version, the schema's revision, store_epoch, when it was made
    <table>/<n>     some rows of a table, one line of JSON each, by the names of the columns;
                    bytes in base64, times in ISO 8601 (UTC)
    counts.json     how many rows each table has
    SHA256          of every byte before it
"""

from __future__ import annotations

import base64
import json
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, BinaryIO

from exemplar_server.core import archive
from exemplar_server.errors import InvalidInputError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

FORMAT = "exemplar-backup"
VERSION = 1
MANIFEST, COUNTS = "manifest.json", "counts.json"
MANIFEST_BYTES = 2**20
# Rows are collected up to this much before they are written.
MEMBER_BYTES = 4 * 2**20
# A member has one row more than that at most, and a row has at most an image, in base64.
MOST_BYTES = 2**30

Row = dict[str, Any]


@dataclass(frozen=True)
class Facts:
    """Of the store that was backed up."""

    schema: str
    epoch: str
    created: str


class BackupWriter:
    """Writes `facts`, then tables one after the other, then the end. One thread at a time."""

    def __init__(self, file: BinaryIO, facts: Facts) -> None:
        self._archive = archive.ArchiveWriter(file)
        self._counts: dict[str, int] = {}
        manifest = {"format": FORMAT, "version": VERSION, **asdict(facts)}
        self._archive.add(MANIFEST, _json(manifest))

    def add(self, table: str, rows: Iterable[Mapping[str, Any]]) -> None:
        lines: list[bytes] = []
        size, number, count = 0, 0, 0
        for row in rows:
            lines.append(_json({name: _plain(value) for name, value in row.items()}))
            size += len(lines[-1])
            count += 1
            if size >= MEMBER_BYTES:
                self._archive.add(f"{table}/{number}", b"".join(lines))
                lines, size, number = [], 0, number + 1
        if lines:
            self._archive.add(f"{table}/{number}", b"".join(lines))
        self._counts[table] = count

    def finish(self) -> dict[str, int]:
        """The rows of each table."""
        self._archive.add(COUNTS, _json(self._counts))
        self._archive.finish()
        return self._counts


class BackupFile:
    """A backup that was checked: every byte is as it was written."""

    def __init__(self, file: BinaryIO) -> None:
        """Raises InvalidInputError: corrupt, incomplete, or no backup of a version known here."""
        archive.check(file)
        self._file = file
        first = archive.member_at(file, 0)
        manifest = self._json_of(first)
        kind = manifest.get("format"), manifest.get("version")
        if first.name != MANIFEST or kind != (FORMAT, VERSION):
            raise InvalidInputError(
                f"file: expected {FORMAT} of version {VERSION}, got {str(kind[0])[:40]!r} "
                f"of version {str(kind[1])[:10]}"
            )
        self.facts = Facts(manifest["schema"], manifest["epoch"], manifest["created"])
        *_, last = archive.members(file)
        self.counts: dict[str, int] = self._json_of(last)

    def rows(self) -> Iterator[tuple[str, list[Row]]]:
        """Some rows of a table at a time, in the order in which they were written."""
        for member in archive.members(self._file):
            table, slash, _ = member.name.partition("/")
            if slash:
                lines = archive.content(self._file, member, MOST_BYTES).splitlines()
                yield table, [json.loads(line) for line in lines]

    def _json_of(self, member: archive.Member) -> dict[str, Any]:
        try:
            value = json.loads(archive.content(self._file, member, MANIFEST_BYTES))
        except ValueError:
            return {}
        return value if isinstance(value, dict) else {}


def time_of(text: str) -> datetime:
    return datetime.fromisoformat(text)


def bytes_of(text: str) -> bytes:
    return base64.b64decode(text, validate=True)


def _plain(value: Any) -> Any:
    if isinstance(value, bytes | memoryview):
        return base64.b64encode(value).decode("ascii")
    if isinstance(value, datetime):
        return (value if value.tzinfo else value.replace(tzinfo=UTC)).isoformat()
    return value


def _json(value: Any) -> bytes:
    return f"{json.dumps(value, ensure_ascii=False, separators=(',', ':'))}\n".encode()
