"""Embeddings as the caller holds them: float32 buffers that numpy reads without a copy.

Knows no numpy: the array interface is a dictionary.
"""

from __future__ import annotations

import sys
from array import array
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from exemplar.enums import enum_name
from exemplar.errors import ItemFailedError
from exemplar.v1 import embedding_pb2

_FLOAT32_BYTES = 4


@dataclass(frozen=True)
class ItemError:
    """Why one image of many has no result. `reason` as in ExemplarError."""

    reason: str
    message: str

    def __str__(self) -> str:
        return f"{self.reason}: {self.message}"


@dataclass(frozen=True, repr=False)
class Embedding:
    """A unit-length vector in the embedding space that `fingerprint` names.

    `numpy.asarray(embedding)` gives its values, `numpy.asarray(list_of_embeddings)` a matrix.
    Where `error` is set there are no values, and reading them raises ItemFailedError.

    Attributes:
        data: float32 values, little-endian.
    """

    data: bytes
    fingerprint: str
    error: ItemError | None = None

    @classmethod
    def from_values(cls, values: Iterable[float], fingerprint: str) -> Embedding:
        """Any numbers, such as a numpy array; the server scales them to unit length."""
        return cls(_little_endian(array("f", values)).tobytes(), fingerprint)

    @property
    def dim(self) -> int:
        return len(self._checked_data()) // _FLOAT32_BYTES

    @property
    def values(self) -> memoryview:
        return memoryview(_little_endian(array("f", self._checked_data())))

    @property
    def __array_interface__(self) -> dict[str, Any]:
        return {"version": 3, "shape": (self.dim,), "typestr": "<f4", "data": self._checked_data()}

    def __len__(self) -> int:
        return self.dim

    def __iter__(self) -> Iterator[float]:
        return iter(self.values)

    def __getitem__(self, index: int) -> float:
        value: float = self.values[index]
        return value

    def __repr__(self) -> str:
        if self.error:
            return f"Embedding(error={self.error!r})"
        return f"Embedding(dim={self.dim}, fingerprint={self.fingerprint[:12]!r}...)"

    def _checked_data(self) -> bytes:
        if self.error:
            raise ItemFailedError(self.error.message, reason=self.error.reason)
        return self.data


def _little_endian(values: array[float]) -> array[float]:
    """The same values; bytes swapped on the rare host that is big-endian."""
    if sys.byteorder == "big":
        values.byteswap()
    return values


def embedding_to_pb(embedding: Embedding) -> embedding_pb2.Embedding:
    return embedding_pb2.Embedding(
        values=embedding.data, dim=embedding.dim, fingerprint=embedding.fingerprint
    )


def embedding_from_pb(pb: embedding_pb2.Embedding) -> Embedding:
    return Embedding(pb.values, pb.fingerprint)


def embedding_from_result(pb: embedding_pb2.EmbedResult) -> Embedding:
    if pb.HasField("error"):
        return failed_embedding(item_error_from_pb(pb.error))
    return embedding_from_pb(pb.embedding)


def failed_embedding(error: ItemError) -> Embedding:
    return Embedding(b"", "", error)


def item_error_from_pb(pb: embedding_pb2.ItemError) -> ItemError:
    return ItemError(
        enum_name(embedding_pb2.ErrorReason.DESCRIPTOR, pb.reason, "ERROR_REASON_"), pb.message
    )
