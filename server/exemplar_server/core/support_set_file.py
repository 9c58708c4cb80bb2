"""A support set as one file: what is in it, how it is written, and how it is read and checked.

The file is an archive (archive.py) of these members, in this order:

    manifest.json     format, version, facts of the support set and of its embedding space
    images/<n>        the image of exemplar number n as it was added, where it is kept
    exemplars.jsonl   one line an exemplar, by id: exemplar_id, label, metadata, and of its image
                      the bytes and the SHA-256, or null; the first line is number 0
    embeddings.npy    float32 (N, D), row n of exemplar number n, unit length
    SHA256            of every byte before it

JSON is UTF-8 with sorted keys. The same support set at the same revision makes the same bytes.
"""

from __future__ import annotations

import hashlib
import json
import tempfile
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np

from exemplar_server.core.archive import ArchiveWriter
from exemplar_server.errors import LimitExceededError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from exemplar_server.core.exemplars import Exemplar, SupportSet

FORMAT = "exemplar-support-set"
VERSION = 1
MANIFEST, IMAGES, EXEMPLARS, EMBEDDINGS = (
    "manifest.json",
    "images/",
    "exemplars.jsonl",
    "embeddings.npy",
)
# What stays in memory of the lines and of the embeddings; the rest is in temporary files.
SPOOLED_BYTES = 2**20


class SupportSetWriter(ExitStack):
    """Implements core.transfers.Sink: writes one support set into `file`.

    One thread at a time. Raises LimitExceededError where the file would have more than
    `most_bytes`.
    """

    def __init__(self, file: BinaryIO, most_bytes: int) -> None:
        super().__init__()
        self._file = file
        self._most_bytes = most_bytes
        self._archive = ArchiveWriter(file)
        self._lines = self._spool()
        self._rows = self._spool()
        self._count = 0

    def begin(self, support_set: SupportSet) -> None:
        """Forgets what was written before: the support set changed meanwhile."""
        for file in (self._file, self._lines, self._rows):
            file.seek(0)
            file.truncate()
        self._count = 0
        self._archive = ArchiveWriter(self._file)
        self._archive.add(MANIFEST, _json(manifest(support_set)))
        self._rows.write(npy_header(support_set.exemplar_count, support_set.dim))

    def take(self, exemplars: Sequence[Exemplar], images: Mapping[str, bytes]) -> None:
        for number, exemplar in enumerate(exemplars, self._count):
            image = images.get(exemplar.exemplar_id)
            self._lines.write(_line(exemplar, image))
            self._rows.write(np.asarray(exemplar.embedding_D, "<f4").tobytes())
            if image is not None:
                self._archive.add(f"{IMAGES}{number}", image)
        self._count += len(exemplars)
        self._check_size()

    def finish(self) -> int:
        """The size of the whole file."""
        self._archive.add_file(EXEMPLARS, self._lines)
        self._archive.add_file(EMBEDDINGS, self._rows)
        self._archive.finish()
        self._check_size()
        self._file.flush()
        return self._archive.size_bytes

    def _spool(self) -> BinaryIO:
        opened: Any = self.enter_context(tempfile.SpooledTemporaryFile(SPOOLED_BYTES))  # noqa: SIM115 - it is closed
        spooled: BinaryIO = opened
        return spooled

    def _check_size(self) -> None:
        if self._archive.size_bytes > self._most_bytes:
            raise LimitExceededError(
                f"support_set: expected a file of up to {self._most_bytes} bytes "
                f"(EXEMPLAR_TRANSFER_BYTES), got more"
            )


def manifest(support_set: SupportSet) -> dict[str, Any]:
    return {
        "format": FORMAT,
        "version": VERSION,
        "name": support_set.name,
        "backbone": support_set.backbone,
        "fingerprint": support_set.fingerprint,
        "dim": support_set.dim,
        "keep_images": support_set.keep_images,
        "revision": support_set.revision,
        "exemplar_count": support_set.exemplar_count,
        "created": support_set.created.isoformat(timespec="microseconds"),
    }


def npy_header(rows: int, dim: int) -> bytes:
    """As numpy.save writes it, before the rows of a float32 matrix."""
    fields = f"{{'descr': '<f4', 'fortran_order': False, 'shape': ({rows}, {dim}), }}"
    padding = -(10 + len(fields) + 1) % 64  # magic and length take 10 bytes; data begins aligned
    header = fields.encode("ascii") + b" " * padding + b"\n"
    return b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header


def _line(exemplar: Exemplar, image: bytes | None) -> bytes:
    facts = None
    if image is not None:
        facts = {"bytes": len(image), "sha256": hashlib.sha256(image).hexdigest()}
    return _json(
        {
            "exemplar_id": exemplar.exemplar_id,
            "label": exemplar.label,
            "metadata": dict(exemplar.metadata),
            "image": facts,
        }
    )


def _json(value: Any) -> bytes:
    text = json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
    return f"{text}\n".encode()
