"""Cuts any number of messages into requests that stay under the server's limits, in order."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Generic, TypeVar

from exemplar.answers import Limits
from exemplar.channel import CHANNEL_BYTES
from exemplar.embedding import ItemError
from exemplar.errors import ServerError

T = TypeVar("T")
R = TypeVar("R")

# A request's own fields (names, ids, options: under 1 KiB) and HTTP/2 headers, with room to grow.
HEADROOM_BYTES = 64 * 1024
# Tag and length of one repeated field: at most 1 + 5 bytes below 4 GiB.
FIELD_BYTES = 6
# How messages name an item: "queries[3].image: expected ...".
_PLACE = re.compile(r"^(queries|images|exemplars|exemplar_ids)\[\d+\]")


class Cutter(Generic[T]):
    """Gathers slots (a message, or the error in its place) and hands over each full request.

    Errors weigh nothing: they only keep their place. Not thread-safe.
    """

    def __init__(self, size_of: Callable[[T], int], most_bytes: int, most_count: int) -> None:
        self._size_of = size_of
        self._most_bytes = most_bytes
        self._most_count = most_count
        self._slots: list[T | ItemError] = []
        self._bytes = 0
        self._count = 0

    def push(self, slot: T | ItemError) -> list[list[T | ItemError]]:
        """The requests that this slot completes: none, one or two."""
        size_bytes = 0 if isinstance(slot, ItemError) else self._size_of(slot) + FIELD_BYTES
        if size_bytes > self._most_bytes:
            return self.push(_too_large(size_bytes, self._most_bytes))
        full = [self.rest()] if self._bytes + size_bytes > self._most_bytes else []
        self._slots.append(slot)
        self._bytes += size_bytes
        self._count += not isinstance(slot, ItemError)
        return [*full, self.rest()] if self._count >= self._most_count else full

    def rest(self) -> list[T | ItemError]:
        """What was gathered so far; starts anew."""
        slots = self._slots
        self._slots, self._bytes, self._count = [], 0, 0
        return slots


def cut(slots: Iterable[T | ItemError], cutter: Cutter[T]) -> Iterator[list[T | ItemError]]:
    for slot in slots:
        yield from cutter.push(slot)
    if rest := cutter.rest():
        yield rest


def cutter_for(
    limits: Limits,
    size_of: Callable[[T], int],
    most_count: int | None = None,
    *,
    reserved_bytes: int = 0,
) -> Cutter[T]:
    """`reserved_bytes`: what each request holds beside its items, if that is more than a little."""
    most_bytes = min(limits.message_bytes, CHANNEL_BYTES) - HEADROOM_BYTES - reserved_bytes
    return Cutter(
        size_of, most_bytes, min(most_count or limits.images_per_request, limits.images_per_request)
    )


def contents(slots: Iterable[T | ItemError]) -> list[T]:
    """The messages to send, without the errors between them."""
    return [slot for slot in slots if not isinstance(slot, ItemError)]


def merge(
    slots: Sequence[T | ItemError], results: Sequence[R], failed: Callable[[ItemError], R]
) -> list[R]:
    """One result a slot: the server's, or what the slot's own error makes."""
    wanted = len(contents(slots))
    if len(results) != wanted:
        raise ServerError(f"results: expected {wanted}, one an item, got {len(results)}")
    remaining = iter(results)
    return [failed(slot) if isinstance(slot, ItemError) else next(remaining) for slot in slots]


def renumber(error: ItemError, position: int) -> ItemError:
    """The server counts within its request; the caller knows the position in the whole job."""
    return replace(error, message=_PLACE.sub(rf"\g<1>[{position}]", error.message, count=1))


def _too_large(size_bytes: int, most_bytes: int) -> ItemError:
    return ItemError(
        "LIMIT_EXCEEDED",
        f"image with its label: expected at most {most_bytes} bytes, got {size_bytes}",
    )
