"""What the fake server says of images: embeddings made from bytes, without a network."""

from __future__ import annotations

import hashlib
import struct

from exemplar.v1 import embedding_pb2

FINGERPRINT = "f" * 64
DIM = 8


def vector(image: bytes) -> bytes:
    """Half of it says what the first byte is, so that images of one kind are alike."""
    kind = [1.0 if i == image[0] % 4 else 0.0 for i in range(4)]
    noise = [byte / 2550 for byte in hashlib.sha256(image).digest()[:4]]
    length = sum(value * value for value in kind + noise) ** 0.5
    return struct.pack("<8f", *(value / length for value in kind + noise))


def embedding(image: bytes) -> embedding_pb2.Embedding:
    return embedding_pb2.Embedding(values=vector(image), dim=DIM, fingerprint=FINGERPRINT)


def undecodable(place: str) -> embedding_pb2.ItemError:
    return embedding_pb2.ItemError(
        reason=embedding_pb2.ERROR_REASON_UNDECODABLE_IMAGE, message=f"{place}: not an image"
    )


def cosine(left: bytes, right: bytes) -> float:
    pairs = zip(struct.unpack("<8f", left), struct.unpack("<8f", right), strict=True)
    return sum(a * b for a, b in pairs)
