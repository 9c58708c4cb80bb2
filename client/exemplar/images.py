"""What callers hand over as images and exemplars, read into messages that fit the limits.

An image that cannot be read or is too large becomes an ItemError in its place, and costs only
itself.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, TypeVar

from exemplar.answers import Limits
from exemplar.embedding import Embedding, ItemError, embedding_to_pb
from exemplar.v1 import classification_pb2, map_pb2, support_set_pb2
from exemplar.v1.embedding_pb2 import Embedding as EmbeddingPb

# A file's bytes, its path, an open binary file, or an embedding in place of an image.
ImageFile = bytes | bytearray | memoryview | str | os.PathLike[str] | BinaryIO
Image = ImageFile | Embedding


@dataclass(frozen=True)
class NewExemplar:
    """One labelled image or embedding to add. The server makes the id where it is empty."""

    label: str
    image: Image
    exemplar_id: str = ""
    metadata: Mapping[str, str] = field(default_factory=dict)


Labelled = NewExemplar | tuple[str, Image]
Drawable = Image | Labelled  # on a map, where labels are optional

MessageT = TypeVar(
    "MessageT", classification_pb2.Query, map_pb2.MapItem, support_set_pb2.NewExemplar
)

_ID_CHARACTERS = 128  # of a map's item


def queries(
    images: Iterable[Image], limits: Limits
) -> Iterator[classification_pb2.Query | ItemError]:
    _refuse_single(images, "queries")
    for index, image in enumerate(images):
        yield query(image, limits, index)


def query(image: Image, limits: Limits, index: int) -> classification_pb2.Query | ItemError:
    return _filled(classification_pb2.Query(), _content(image, limits, f"queries[{index}]"))


def image_files(images: Iterable[ImageFile], limits: Limits) -> Iterator[bytes | ItemError]:
    _refuse_single(images, "images")
    for index, image in enumerate(images):
        yield _read(image, limits, f"images[{index}]")


def new_exemplars(
    exemplars: Iterable[Labelled], limits: Limits
) -> Iterator[support_set_pb2.NewExemplar | ItemError]:
    _refuse_single(exemplars, "exemplars")
    for index, exemplar in enumerate(exemplars):
        named = exemplar if isinstance(exemplar, NewExemplar) else NewExemplar(*exemplar)
        yield _new_exemplar(named, limits, f"exemplars[{index}]")


def map_items(items: Iterable[Drawable], limits: Limits) -> Iterator[map_pb2.MapItem | ItemError]:
    """Those without an id are named by their file, or else by their position."""
    _refuse_single(items, "items")
    for index, item in enumerate(items):
        yield _map_item(_drawn(item), limits, index)


def _drawn(item: Drawable) -> NewExemplar:
    if isinstance(item, NewExemplar):
        return item
    return NewExemplar(*item) if isinstance(item, tuple) else NewExemplar("", item)


def _map_item(item: NewExemplar, limits: Limits, index: int) -> map_pb2.MapItem | ItemError:
    image = item.image
    name = os.fspath(image) if isinstance(image, str | os.PathLike) else str(index)
    message = map_pb2.MapItem(id=(item.exemplar_id or name)[-_ID_CHARACTERS:], label=item.label)
    return _filled(message, _content(image, limits, f"items[{index}]"))


def _new_exemplar(
    exemplar: NewExemplar, limits: Limits, place: str
) -> support_set_pb2.NewExemplar | ItemError:
    message = support_set_pb2.NewExemplar(
        label=exemplar.label, exemplar_id=exemplar.exemplar_id, metadata=exemplar.metadata
    )
    return _filled(message, _content(exemplar.image, limits, place))


def _filled(message: MessageT, content: bytes | EmbeddingPb | ItemError) -> MessageT | ItemError:
    if isinstance(content, ItemError):
        return content
    if isinstance(content, bytes):
        message.image = content
    else:
        message.embedding.CopyFrom(content)
    return message


def _content(image: Image, limits: Limits, place: str) -> bytes | EmbeddingPb | ItemError:
    if isinstance(image, Embedding):
        return image.error or embedding_to_pb(image)
    return _read(image, limits, place)


def _read(image: ImageFile, limits: Limits, place: str) -> bytes | ItemError:
    try:
        data = _file_bytes(image, limits.image_bytes + 1)
    except OSError as error:
        return ItemError("INVALID_INPUT", f"{place}: expected a readable file, got {error}")
    if not data:
        return ItemError("UNDECODABLE_IMAGE", f"{place}: expected an image, got 0 bytes")
    if len(data) > limits.image_bytes:
        return ItemError(
            "LIMIT_EXCEEDED", f"{place}: expected at most {limits.image_bytes} bytes, got more"
        )
    return data


def _file_bytes(image: ImageFile, most_bytes: int) -> bytes:
    """No more than `most_bytes` of a file, however large it is."""
    if isinstance(image, str | os.PathLike):
        with Path(image).open("rb") as file:
            return file.read(most_bytes)
    if isinstance(image, bytes | bytearray | memoryview):
        return bytes(image[:most_bytes])
    return image.read(most_bytes)


def _refuse_single(images: object, place: str) -> None:
    """Bytes and strings are iterable, and are what a caller with one image passes first."""
    if isinstance(images, bytes | bytearray | memoryview | str | os.PathLike | Embedding):
        raise TypeError(f"{place}: expected a list of them, got {type(images).__name__}")
