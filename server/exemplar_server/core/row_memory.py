"""Memory for many rows that goes back to the system as soon as nobody has them.

The C library keeps what is freed for later; a budget of memory needs it back at once.

Shapes: N rows, D dim.
"""

from __future__ import annotations

import mmap
from contextlib import suppress
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

MAPPED_BYTES = 2**20  # of less, the rest of the last page would be a waste
HUGE_BYTES = 2**23  # in pages of 2 MiB, of which the last is half empty


def empty_rows(count: int, dim: int) -> NDArray[np.float32]:
    """Rows to be filled, (N, D); they begin on a cache line, or there are few."""
    size_bytes = 4 * count * dim
    if size_bytes < MAPPED_BYTES:
        return np.empty((count, dim), np.float32)
    memory = mmap.mmap(-1, size_bytes)
    if size_bytes >= HUGE_BYTES and hasattr(mmap, "MADV_HUGEPAGE"):
        with suppress(OSError):  # a kernel without huge pages
            memory.madvise(mmap.MADV_HUGEPAGE)
    return np.frombuffer(memory, np.float32).reshape(count, dim)
