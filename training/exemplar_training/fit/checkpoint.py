"""Checkpoints: one file, put in its place whole, and read only when it is whole.

The file is a line that says what it is, 8 bytes of length, 32 bytes of SHA-256, then torch's own
format, which is read with `weights_only`: a checkpoint from elsewhere cannot run code.
"""

from __future__ import annotations

import hashlib
import io
from typing import TYPE_CHECKING, Any

import torch

from exemplar_training.errors import CheckpointError
from exemplar_training.files import replace_file

if TYPE_CHECKING:
    from pathlib import Path

FILE = "checkpoint.pt"
_MARK = b"exemplar checkpoint 1\n"
_LENGTH_BYTES = 8
_HEAD_BYTES = len(_MARK) + _LENGTH_BYTES + hashlib.sha256().digest_size


def save(path: Path, content: dict[str, Any]) -> None:
    """Writes `content`: tensors, numbers, strings, None, and lists, tuples, dicts of them.

    Raises:
        CheckpointError: the file system refuses; the checkpoint that was there stays.
    """
    buffer = io.BytesIO()
    torch.save(content, buffer)
    payload = buffer.getbuffer()
    length = len(payload).to_bytes(_LENGTH_BYTES, "big")
    replace_file(path, _MARK, length, hashlib.sha256(payload).digest(), payload)


def load(path: Path) -> dict[str, Any]:
    """What was saved, on the CPU.

    Raises:
        CheckpointError: there is none, or it is not whole.
    """
    try:
        data = memoryview(path.read_bytes())
    except OSError as error:
        raise CheckpointError(f"checkpoint: expected a readable file, got {error}") from error
    _check(path, data)
    content: dict[str, Any] = torch.load(
        io.BytesIO(data[_HEAD_BYTES:]), map_location="cpu", weights_only=True
    )
    return content


def _check(path: Path, data: memoryview) -> None:
    if data[: len(_MARK)] != _MARK:
        raise CheckpointError(f"{path.name}: expected a checkpoint, got {bytes(data[:16])!r}...")
    length = int.from_bytes(data[len(_MARK) : len(_MARK) + _LENGTH_BYTES], "big")
    payload = data[_HEAD_BYTES:]
    if len(payload) != length:
        raise CheckpointError(f"{path.name}: expected {length} bytes, got {len(payload)}: cut off")
    digest = data[len(_MARK) + _LENGTH_BYTES : _HEAD_BYTES]
    if hashlib.sha256(payload).digest() != digest:
        raise CheckpointError(f"{path.name}: expected its own SHA-256, got another: damaged")
