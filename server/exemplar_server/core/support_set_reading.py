"""Reads a support set's file (support_set_file.py says what is in it) and checks all of it.

Embeddings: float32 (N, D), unit length.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING, Any, BinaryIO, TypeVar

import numpy as np

from exemplar_server.core import archive
from exemplar_server.core.exemplars import NewExemplar, SupportSet
from exemplar_server.core.support_set_file import (
    EMBEDDINGS,
    EXEMPLARS,
    FORMAT,
    IMAGES,
    MANIFEST,
    VERSION,
)
from exemplar_server.errors import ExemplarError, InvalidInputError, LimitExceededError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

    from exemplar_server.core.archive import Member

    Check = Callable[[str, NewExemplar], None]

T = TypeVar("T")

# At most this much is in memory: exemplars and bytes of images of one page; one line of JSON.
PAGE_EXEMPLARS = 256
PAGE_BYTES = 8 * 2**20
LINE_BYTES = 2**20
FLOAT_BYTES = 4
# Float32 unit vectors are off by about 1e-7.
NORM_TOLERANCE = 1e-3


@dataclass(frozen=True)
class _Line:
    """An exemplar's facts; no image: no digest."""

    exemplar_id: str
    label: str
    metadata: dict[str, str]
    image_bytes: int
    image_sha256: str


class SupportSetFile:
    """A file that was checked as a whole; `pages` may be read again and again.

    One thread at a time.
    """

    def __init__(self, file: BinaryIO, check: Check, image_bytes: int) -> None:
        """`check` raises what is wrong with an exemplar, by its place in the file.

        Raises:
            InvalidInputError: corrupt, incomplete, of another format or version, or with an
                exemplar that `check` refuses.
            LimitExceededError: an image has more than `image_bytes`.
        """
        archive.check(file)
        self._file = file
        self._check = check
        self._image_bytes = image_bytes
        first = self._member(0, MANIFEST)
        manifest = archive.content(file, first, LINE_BYTES)
        self.support_set = _parsed(MANIFEST, lambda: _support_set(json.loads(manifest)))
        self._images = first.end
        self._lines, self._rows = self._found()
        self.pictured_count = 0
        for page in self.pages():
            self.pictured_count += sum(exemplar.image is not None for exemplar in page)

    def pages(self) -> Iterator[list[NewExemplar]]:
        """All exemplars in the order of their ids, a few at a time. Each is checked as it comes."""
        count, last_id, place = 0, "", self._images
        for lines in _few(self._each_line()):
            ids = [last_id, *(line.exemplar_id for line in lines)]
            _expect(ids == sorted(set(ids)), f"{EXEMPLARS}: ids in order, each once")
            rows_ND = self._embeddings(count, len(lines))
            page = []
            for number, line in enumerate(lines, count):
                image, place = self._image(number, line, place)
                row_D = rows_ND[number - count]
                page.append(NewExemplar(line.exemplar_id, line.label, row_D, image, line.metadata))
                self._check(f"exemplars[{number}]", page[-1])
            yield page
            count, last_id = count + len(lines), ids[-1]
        _expect(
            count == self.support_set.exemplar_count, f"{EXEMPLARS}: as many as {MANIFEST} says"
        )
        self._member(place, EXEMPLARS)  # no image is left

    def _found(self) -> tuple[Member, int]:
        """The member with the lines, and where the first embedding is."""
        place = self._images
        while (lines := archive.member_at(self._file, place)).name.startswith(IMAGES):
            place = lines.end
        _expect(lines.name == EXEMPLARS, f"{EXEMPLARS} after {IMAGES}")
        rows = self._member(lines.end, EMBEDDINGS)
        _expect(rows.end == archive.members_end(self._file), f"nothing after {EMBEDDINGS}")
        self._file.seek(rows.offset)
        shape = _parsed(EMBEDDINGS, lambda: _npy_shape(self._file))
        begin = self._file.tell()
        count, dim = self.support_set.exemplar_count, self.support_set.dim
        is_right = shape == (count, dim) and begin + count * dim * FLOAT_BYTES == rows.data_end
        _expect(is_right, f"{EMBEDDINGS}: shape ({count}, {dim})")
        return lines, begin

    def _member(self, place: int, name: str) -> Member:
        member = archive.member_at(self._file, place)
        _expect(member.name == name, f"{name} at byte {place}")
        return member

    def _each_line(self) -> Iterator[_Line]:
        place, end = self._lines.offset, self._lines.data_end
        while place < end:
            self._file.seek(place)
            data = self._file.readline(min(LINE_BYTES, end - place))
            _expect(data.endswith(b"\n"), f"{EXEMPLARS}: lines of up to {LINE_BYTES} bytes")
            place += len(data)
            yield _parsed(EXEMPLARS, partial(_line, data))

    def _embeddings(self, first: int, count: int) -> NDArray[np.float32]:
        dim = self.support_set.dim
        _expect(first + count <= self.support_set.exemplar_count, f"{EXEMPLARS}: fewer lines")
        self._file.seek(self._rows + first * dim * FLOAT_BYTES)
        data = self._file.read(count * dim * FLOAT_BYTES)
        rows_ND = np.frombuffer(data, "<f4").reshape(count, dim).astype(np.float32)
        norms_N = np.linalg.norm(rows_ND.astype(np.float64), axis=1)
        is_unit = bool(np.all(np.abs(norms_N - 1) <= NORM_TOLERANCE))  # NaN is not
        _expect(is_unit, f"{EMBEDDINGS}: rows of unit length")
        return rows_ND

    def _image(self, number: int, line: _Line, place: int) -> tuple[bytes | None, int]:
        """The image of an exemplar, whose member begins at `place`, and where the next one does."""
        if not line.image_sha256:
            return None, place
        if line.image_bytes > self._image_bytes:
            raise LimitExceededError(
                f"{IMAGES}{number}: expected up to {self._image_bytes} bytes, "
                f"got {line.image_bytes}"
            )
        member = self._member(place, f"{IMAGES}{number}")
        _expect(member.size == line.image_bytes, f"{IMAGES}{number} of {line.image_bytes} bytes")
        image = archive.content(self._file, member, line.image_bytes)
        is_right = hashlib.sha256(image).hexdigest() == line.image_sha256
        _expect(is_right, f"{IMAGES}{number}: the image that {EXEMPLARS} has the SHA-256 of")
        return image, member.end


def _few(lines: Iterator[_Line]) -> Iterator[list[_Line]]:
    """As many lines at a time as a page takes."""
    some: list[_Line] = []
    for line in lines:
        is_full = sum(one.image_bytes for one in some) + line.image_bytes > PAGE_BYTES
        if some and (is_full or len(some) == PAGE_EXEMPLARS):
            yield some
            some = []
        some.append(line)
    if some:
        yield some


def _support_set(manifest: dict[str, Any]) -> SupportSet:
    if manifest["format"] != FORMAT or manifest["version"] != VERSION:
        raise InvalidInputError(
            f"file: expected format {FORMAT} of version {VERSION}, "
            f"got {str(manifest['format'])[:40]!r} of version {str(manifest['version'])[:10]}"
        )
    return SupportSet(
        incarnation="",
        name=_text(manifest["name"]),
        revision=_count(manifest["revision"]),
        fingerprint=_text(manifest["fingerprint"]),
        backbone=_text(manifest["backbone"]),
        dim=_count(manifest["dim"]),
        exemplar_count=_count(manifest["exemplar_count"]),
        keep_images=bool(manifest["keep_images"]),
        created=datetime.fromisoformat(manifest["created"]),
    )


def _line(data: bytes) -> _Line:
    value = json.loads(data)
    image = value["image"] or {"bytes": 0, "sha256": ""}
    metadata = {_text(key): _text(one) for key, one in value["metadata"].items()}
    return _Line(
        _text(value["exemplar_id"]),
        _text(value["label"]),
        metadata,
        _count(image["bytes"]),
        _text(image["sha256"]),
    )


def _npy_shape(file: BinaryIO) -> tuple[int, ...]:
    """The file then stands at the first row."""
    version = np.lib.format.read_magic(file)
    read = np.lib.format.read_array_header_1_0 if version == (1, 0) else None
    if read is None:
        raise ValueError(version)
    shape, is_fortran, dtype = read(file, max_header_size=LINE_BYTES // 64)
    if is_fortran or dtype != np.dtype("<f4"):
        raise ValueError(dtype)
    return shape


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(value)
    return value.encode().decode()  # raises where a lone surrogate stands


def _count(value: Any) -> int:
    if not isinstance(value, int) or value < 0:
        raise TypeError(value)
    return value


def _parsed(member: str, parse: Callable[[], T]) -> T:
    try:
        return parse()
    except ExemplarError:
        raise
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise _wrong(f"{member} as support sets' files have it") from error


def _expect(is_so: bool, what: str) -> None:
    if not is_so:
        raise _wrong(what)


def _wrong(what: str) -> InvalidInputError:
    return InvalidInputError(f"file: not a support set's file: expected {what}")
