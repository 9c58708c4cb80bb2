"""How much work may be in the house at once. Full means an error now, not slowness later."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from exemplar_server.errors import OverloadedError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

# What a refused caller is told to wait: some dozens of micro-batches, for a shorter queue.
RETRY_AFTER_SECONDS = 0.25


class Admission:
    """Counts images and bytes between arrival and answer. One event loop only."""

    def __init__(self, max_images: int, max_bytes: int) -> None:
        self._max_images = max_images
        self._max_bytes = max_bytes
        self.images = 0
        self.bytes = 0

    @contextmanager
    def admit(self, images: Sequence[bytes]) -> Iterator[None]:
        """Holds room for the images. An idle server admits any one request; none need no room.

        Raises:
            OverloadedError: there is no room now.
        """
        count, size = len(images), sum(map(len, images))
        is_full = self.images + count > self._max_images or self.bytes + size > self._max_bytes
        if self.images and count and is_full:
            raise OverloadedError(
                f"the queue is full: {self.images} of {self._max_images} images and "
                f"{self.bytes} of {self._max_bytes} bytes are waiting",
                RETRY_AFTER_SECONDS,
            )
        self.images += count
        self.bytes += size
        try:
            yield
        finally:
            self.images -= count
            self.bytes -= size
