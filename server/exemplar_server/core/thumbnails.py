"""Small pictures of kept images."""

from __future__ import annotations

from typing import TYPE_CHECKING

from exemplar_server.errors import ExemplarError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


class Thumbnails:
    """Makes thumbnails with the image library that it was given. Any thread may call it."""

    def __init__(self, make: Callable[[bytes], bytes]) -> None:
        self._make = make

    def of(self, images: Mapping[str, bytes]) -> dict[str, bytes]:
        """Thumbnails by exemplar id; an image that cannot be read any more is left out."""
        made: dict[str, bytes] = {}
        for exemplar_id, image in images.items():
            try:
                made[exemplar_id] = self._make(image)
            except ExemplarError:
                continue
        return made
