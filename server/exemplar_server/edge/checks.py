"""Checks of single fields, each for several messages: what wire.py and its like are made of.

Messages name the field, the expectation and the value.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from exemplar_server.core.vectors import Vector
from exemplar_server.errors import InvalidInputError, LimitExceededError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sized

    from exemplar.v1 import classification_pb2 as classification
    from exemplar.v1 import map_pb2 as maps
    from exemplar.v1 import support_set_pb2 as support_set
    from exemplar_server.core.contents import Content
    from exemplar_server.core.limits import Limits

SHOWN_CHARACTERS = 40


def content(
    path: str, item: support_set.NewExemplar | classification.Query | maps.MapItem
) -> Content:
    kind = item.WhichOneof("content")
    if kind == "image":
        return item.image
    if kind == "embedding":
        vector = item.embedding
        return Vector(vector.values, vector.dim, vector.fingerprint)
    return InvalidInputError(f"{path}: expected an image or an embedding, got neither")


def check_label(path: str, label: str, limits: Limits) -> None:
    if not 1 <= len(label) <= limits.label_characters:
        raise InvalidInputError(
            f"{path}.label: expected 1..{limits.label_characters} characters, got {len(label)}"
        )
    if any(ord(c) < ord(" ") or ord(c) == 0x7F for c in label):  # noqa: PLR2004 - DEL
        raise InvalidInputError(f"{path}.label: expected no control characters, got {shown(label)}")


def check_metadata(path: str, metadata: Mapping[str, str], limits: Limits) -> None:
    size = sum(len(key.encode()) + len(value.encode()) for key, value in metadata.items())
    if size > limits.metadata_bytes:
        raise LimitExceededError(
            f"{path}.metadata: expected up to {limits.metadata_bytes} bytes, got {size}"
        )


def check_count(field: str, items: Sized, most: int) -> None:
    if not items:
        raise InvalidInputError(f"{field}: expected 1..{most}, got none")
    if len(items) > most:
        raise LimitExceededError(f"{field}: expected 1..{most}, got {len(items)}")


def check_range(field: str, value: int, least: int, most: int) -> None:
    if not least <= value <= most:
        raise InvalidInputError(f"{field}: expected {least}..{most}, got {value}")


def check_positive(field: str, value: float, most: float) -> None:
    if not (0 < value <= most and math.isfinite(value)):
        bound = f"above 0, up to {most:g}" if math.isfinite(most) else "finite and above 0"
        raise InvalidInputError(f"{field}: expected {bound}, got {value:g}")


def shown(value: str) -> str:
    cut = value if len(value) <= SHOWN_CHARACTERS else value[:SHOWN_CHARACTERS] + "..."
    return ascii(cut)
