"""Writes float32 matrices as .npy files, without numpy.

The format: https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from pathlib import Path

_MAGIC = b"\x93NUMPY\x01\x00"
# The format asks for data that starts at a multiple of this.
_ALIGNMENT = 64


def write_npy(path: Path, rows: Sequence[bytes], dim: int) -> None:
    """`rows` are little-endian float32, each of 4 * dim bytes."""
    fields = f"{{'descr': '<f4', 'fortran_order': False, 'shape': ({len(rows)}, {dim}), }}"
    prefix_bytes = len(_MAGIC) + struct.calcsize("<H")
    padding = -(prefix_bytes + len(fields) + 1) % _ALIGNMENT
    header = fields.encode("ascii") + b" " * padding + b"\n"
    with path.open("wb") as file:
        file.write(_MAGIC + struct.pack("<H", len(header)) + header)
        file.writelines(rows)
