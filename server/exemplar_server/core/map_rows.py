"""What maps are drawn of: a support set's exemplars, or items that a caller sends."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from exemplar_server.core.contents import embed_contents, usable
from exemplar_server.errors import (
    InvalidInputError,
    LimitExceededError,
    OverloadedError,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Sequence

    from numpy.typing import NDArray

    from exemplar_server.core.contents import Content
    from exemplar_server.core.embedder import Embedder
    from exemplar_server.core.snapshot import Snapshot
    from exemplar_server.core.support_sets import Call
    from exemplar_server.core.thumbnails import Thumbnails


@dataclass(frozen=True)
class MapItem:
    """One image or embedding to draw, under the caller's name of it; an empty label is none."""

    item_id: str
    label: str
    content: Content


@dataclass(frozen=True)
class MapRows:
    """One row a point. `thumbnails` makes those of a slice of the rows, empty where there are none.

    The revision is 0 where the rows are no support set's.
    """

    ids: Sequence[str]
    labels: Sequence[str]
    embeddings_ND: NDArray[np.float32]
    thumbnails: Callable[[slice], Awaitable[Sequence[bytes]]]
    fingerprint: str
    revision: int = 0


async def of_exemplars(snapshot: Snapshot, thumbnails: Thumbnails | None, most: int) -> MapRows:
    """The exemplars by id. Raises LimitExceededError where they are more than `most`."""
    support_set = snapshot.support_set
    if support_set.exemplar_count > most:
        raise LimitExceededError(
            f"support_set: expected up to {most} exemplars to map, got {support_set.exemplar_count}"
        )
    ids, labels, embeddings_ND = await asyncio.to_thread(snapshot.live)

    async def made(rows: slice) -> list[bytes]:
        wanted = ids[rows] if thumbnails else []
        pictures = await thumbnails.of(support_set.incarnation, wanted) if thumbnails else {}
        return [pictures.get(exemplar_id, b"") for exemplar_id in ids[rows]]

    return MapRows(ids, labels, embeddings_ND, made, support_set.fingerprint, support_set.revision)


async def of_items(
    call: Call,
    embedder: Embedder,
    parts: AsyncIterator[Sequence[MapItem]],
    thumbnails: Thumbnails,
    most: int,
) -> MapRows:
    """The items in their order, each part embedded before the next is read.

    Raises:
        ExemplarError: one item cannot be used; the message says which.
        LimitExceededError: they are more than `most`.
    """
    items: list[MapItem] = []
    embeddings: list[NDArray[np.float32]] = []
    pictures: list[bytes] = []
    async for part in parts:
        if len(items) + len(part) > most:
            raise LimitExceededError(f"items: expected 1..{most}, got more")
        embeddings += await _embedded(call, embedder, part, len(items))
        pictures += await thumbnails.of_contents([item.content for item in part])
        items += [replace(item, content=b"") for item in part]  # the images are not kept
    if not items:
        raise InvalidInputError(f"items: expected 1..{most}, got none")

    async def made(rows: slice) -> list[bytes]:
        return pictures[rows]

    return MapRows(
        [item.item_id for item in items],
        [item.label for item in items],
        await asyncio.to_thread(np.stack, embeddings),
        made,
        embedder.backbone.manifest.fingerprint,
    )


async def _embedded(
    call: Call, embedder: Embedder, part: Sequence[MapItem], first: int
) -> list[NDArray[np.float32]]:
    contents = [item.content for item in part]
    while True:
        try:
            embedded = await embed_contents(
                embedder, call.tenant, contents, call.deadline, "items", first=first
            )
        except OverloadedError as full:  # a stream cannot be sent again: it waits for room
            await asyncio.sleep(full.retry_after_seconds)
        else:
            return usable(embedded)
