"""Small pictures of images: those that a store keeps, and those that a caller sent."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, TypeVar

from exemplar_server.errors import ExemplarError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from exemplar_server.core.contents import Content
    from exemplar_server.core.ports import Store

Key = TypeVar("Key", str, int)

# Of up to 10 MiB each, and a second's work: what one call may hold, and others wait for.
IMAGES_AT_ONCE = 8


class Thumbnails:
    """Makes thumbnails with the image library that it was given. One event loop only.

    A few images at a time for the whole server: a listing of a thousand takes neither all of the
    memory nor the threads that answer queries.
    """

    def __init__(self, store: Store, make: Callable[[bytes], bytes]) -> None:
        self._store = store
        self._make = make
        self._turn = asyncio.Lock()

    async def of_contents(self, contents: Sequence[Content]) -> list[bytes]:
        """One thumbnail an item, in order; empty where it is no readable image."""
        images = [content if isinstance(content, bytes) else b"" for content in contents]
        made: list[bytes] = []
        for start in range(0, len(images), IMAGES_AT_ONCE):
            async with self._turn:
                chunk = dict(enumerate(images[start : start + IMAGES_AT_ONCE]))
                thumbnails = await asyncio.to_thread(self._make_all, chunk)
            made += [thumbnails.get(number, b"") for number in chunk]
        return made

    async def of(self, incarnation: str, exemplar_ids: Sequence[str]) -> dict[str, bytes]:
        """Thumbnails by exemplar id; an image that is not kept or not readable is left out."""
        made: dict[str, bytes] = {}
        for start in range(0, len(exemplar_ids), IMAGES_AT_ONCE):
            async with self._turn:
                chunk = exemplar_ids[start : start + IMAGES_AT_ONCE]
                images = await self._store.images(incarnation, chunk)
                made |= await asyncio.to_thread(self._make_all, images)
        return made

    def _make_all(self, images: Mapping[Key, bytes]) -> dict[Key, bytes]:
        made: dict[Key, bytes] = {}
        for key, image in images.items():
            try:
                made[key] = self._make(image)
            except ExemplarError:
                continue
        return made
