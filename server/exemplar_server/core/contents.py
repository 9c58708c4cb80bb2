"""What callers send to be embedded: images and ready-made embeddings, side by side in one list."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from exemplar_server.core.embedder import Embeddings
from exemplar_server.core.vectors import Vector, unit_embedding
from exemplar_server.errors import ExemplarError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    import numpy as np
    from numpy.typing import NDArray

    from exemplar_server.core.embedder import Embedder

Found = TypeVar("Found")
Content = bytes | Vector | ExemplarError  # an image, an embedding, or what is wrong with the item


@dataclass(frozen=True)
class Labelled:
    """An exemplar to add, as it was sent. An empty `exemplar_id` asks for a new one."""

    label: str
    content: Content
    exemplar_id: str
    metadata: Mapping[str, str]


async def embed_contents(
    embedder: Embedder,
    tenant: str,
    contents: Sequence[Content],
    deadline: float,
    field: str,
    *,
    first: int = 0,
) -> Embeddings:
    """One embedding or error an item, in order; images go to the model together.

    Errors name the item by its place in `field`, the caller's list, where these start at `first`.
    """
    images = [content for content in contents if isinstance(content, bytes)]
    embedded = await embedder.embed(tenant, images, deadline)
    from_images = iter(embedded.items)
    items: list[NDArray[np.float32] | ExemplarError] = []
    for number, content in enumerate(contents, first):
        if isinstance(content, bytes):
            items.append(_located(f"{field}[{number}].image", next(from_images)))
        elif isinstance(content, Vector):
            vector = _unit_or_error(content, embedder)
            items.append(_located(f"{field}[{number}].embedding", vector))
        else:
            items.append(content)
    return Embeddings(items, embedded.timings)


def _unit_or_error(vector: Vector, embedder: Embedder) -> NDArray[np.float32] | ExemplarError:
    try:
        return unit_embedding(vector, embedder.backbone)
    except ExemplarError as error:
        return error


def _located(
    path: str, item: NDArray[np.float32] | ExemplarError
) -> NDArray[np.float32] | ExemplarError:
    return type(item)(f"{path}: {item}") if isinstance(item, ExemplarError) else item


def usable(embedded: Embeddings) -> list[NDArray[np.float32]]:
    """All embeddings, where a failure of one is a failure of all: it is raised."""
    for item in embedded.items:
        if isinstance(item, ExemplarError):
            raise item
    return present(embedded)


def present(embedded: Embeddings) -> list[NDArray[np.float32]]:
    """The embeddings without the failures among them."""
    return [item for item in embedded.items if not isinstance(item, ExemplarError)]


def in_order(embedded: Embeddings, found: Iterable[Found]) -> list[Found | ExemplarError]:
    """What was found for each of `present`, and between them the failures in their places."""
    rest = iter(found)
    return [item if isinstance(item, ExemplarError) else next(rest) for item in embedded.items]
