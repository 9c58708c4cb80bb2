"""How much work may be in the house at once. Full means an error now, not slowness later.

One tenant may fill half of it: there is room for another at any time.
"""

from __future__ import annotations

from collections import Counter
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
        self._images_of: Counter[str] = Counter()
        self._bytes_of: Counter[str] = Counter()

    @contextmanager
    def admit(self, tenant: str, images: Sequence[bytes]) -> Iterator[None]:
        """Holds room for the images; none need no room.

        A tenant that holds nothing may take more than its half, an idle server any one request.

        Raises:
            OverloadedError: there is no room now.
        """
        count, size = len(images), sum(map(len, images))
        if count and (self._is_full(count, size) or self._is_greedy(tenant, count, size)):
            raise OverloadedError(
                f"the queue is full: {self.images} of {self._max_images} images and "
                f"{self.bytes} of {self._max_bytes} bytes are waiting",
                RETRY_AFTER_SECONDS,
            )
        self._add(tenant, count, size)
        try:
            yield
        finally:
            self._add(tenant, -count, -size)

    def _is_full(self, count: int, size: int) -> bool:
        is_full = self.images + count > self._max_images or self.bytes + size > self._max_bytes
        return bool(self.images) and is_full

    def _is_greedy(self, tenant: str, count: int, size: int) -> bool:
        images, held = self._images_of[tenant] + count, self._bytes_of[tenant] + size
        is_over = images > self._max_images / 2 or held > self._max_bytes / 2
        return bool(self._images_of[tenant]) and is_over

    def _add(self, tenant: str, count: int, size: int) -> None:
        self.images += count
        self.bytes += size
        self._images_of[tenant] += count
        self._bytes_of[tenant] += size
        if not self._images_of[tenant]:
            del self._images_of[tenant], self._bytes_of[tenant]
