"""Plain tar archives that end with a checksum of themselves: written and read piece by piece.

The last member, SHA256, has the SHA-256 of every byte before it. A file in which one byte is
other, missing or too many is refused before anything of it is used. Members are never unpacked
to the disk, and their names are compared, not followed. Nothing is compressed.
"""

from __future__ import annotations

import hashlib
import tarfile
from dataclasses import dataclass
from typing import TYPE_CHECKING, BinaryIO

from exemplar_server.errors import InvalidInputError

if TYPE_CHECKING:
    from collections.abc import Iterator

BLOCK = tarfile.BLOCKSIZE
CHUNK_BYTES = 2**20
CHECKSUM = "SHA256"
DIGEST_CHARACTERS = 64
# Its header and its one line, each in a block, and tar's end: two empty blocks.
TRAILER_BYTES = 4 * BLOCK


class ArchiveWriter:
    """Appends members to `file`. One thread at a time.

    The same members make the same bytes: they carry no time and no owner.
    """

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._digest = hashlib.sha256()
        self.size_bytes = 0

    def add(self, name: str, data: bytes) -> None:
        self._write(_header(name, len(data)))
        self._write(data)
        self._write(_padding(len(data)))

    def add_file(self, name: str, source: BinaryIO) -> None:
        """`source` from its beginning to its end."""
        size = source.seek(0, 2)
        self._write(_header(name, size))
        source.seek(0)
        for chunk in _chunks(source, size):
            self._write(chunk)
        self._write(_padding(size))

    def finish(self) -> None:
        trailer = _trailer(self._digest.hexdigest())
        self._file.write(trailer)
        self.size_bytes += len(trailer)

    def _write(self, data: bytes) -> None:
        self._digest.update(data)
        self._file.write(data)
        self.size_bytes += len(data)


@dataclass(frozen=True)
class Member:
    """A member's content is at `offset` of the archive."""

    name: str
    offset: int
    size: int

    @property
    def data_end(self) -> int:
        return self.offset + self.size

    @property
    def end(self) -> int:
        """Where the next member's header is."""
        return self.offset + self.size + -self.size % BLOCK


def check(file: BinaryIO) -> None:
    """Raises InvalidInputError unless every byte is as it was written."""
    size = file.seek(0, 2)
    if size < TRAILER_BYTES or size % BLOCK:
        raise _broken(f"expected an archive that ends with {CHECKSUM}, got {size} bytes")
    digest = sha256_of(file, size - TRAILER_BYTES)
    if file.read() != _trailer(digest):
        raise _broken(f"the bytes are not those that its {CHECKSUM} was made of")


def members(file: BinaryIO) -> Iterator[Member]:
    """The members of a checked archive, less the checksum."""
    start, end = 0, members_end(file)
    while start < end:
        member = member_at(file, start)
        yield member
        start = member.end


def members_end(file: BinaryIO) -> int:
    """Where the last member but the checksum ends."""
    return file.seek(0, 2) - TRAILER_BYTES


def member_at(file: BinaryIO, start: int) -> Member:
    """The member of a checked archive whose header is at `start`."""
    end = members_end(file)
    file.seek(start)
    try:
        info = tarfile.TarInfo.frombuf(file.read(BLOCK), "utf-8", "surrogateescape")
    except tarfile.HeaderError as error:
        raise _broken(f"no member begins at byte {start}: {error}") from error
    member = Member(info.name, start + BLOCK, info.size)
    if not info.isreg() or info.size < 0 or member.end > end:
        raise _broken(f"the member at byte {start} is no file of {info.size} bytes")
    return member


def content(file: BinaryIO, member: Member, most: int) -> bytes:
    """All of a member that has `most` bytes or fewer."""
    if member.size > most:
        raise _broken(f"{member.name}: expected up to {most} bytes, got {member.size}")
    file.seek(member.offset)
    return file.read(member.size)


def sha256_of(file: BinaryIO, size: int) -> str:
    """Of the first `size` bytes; the file then stands after them."""
    digest = hashlib.sha256()
    file.seek(0)
    for chunk in _chunks(file, size):
        digest.update(chunk)
    return digest.hexdigest()


def _header(name: str, size: int) -> bytes:
    info = tarfile.TarInfo(name)
    info.size = size
    return info.tobuf(tarfile.GNU_FORMAT)  # which has room for sizes above 8 GiB


def _padding(size: int) -> bytes:
    return bytes(-size % BLOCK)


def _trailer(digest: str) -> bytes:
    line = f"{digest}\n".encode("ascii")
    return _header(CHECKSUM, len(line)) + line + _padding(len(line)) + bytes(2 * BLOCK)


def _chunks(file: BinaryIO, size: int) -> Iterator[bytes]:
    while size > 0:
        chunk = file.read(min(size, CHUNK_BYTES))
        if not chunk:
            raise _broken("it ends too early")
        size -= len(chunk)
        yield chunk


def _broken(what: str) -> InvalidInputError:
    return InvalidInputError(f"file: corrupt or incomplete: {what}")
