"""Images as pages carry them: text, with what they have in common written once."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Sequence
from typing import Any

# Where a JPEG's pixels start: what is before them is nearly the same in all thumbnails.
_START_OF_SCAN = b"\xff\xda"


def packed(images: Sequence[bytes]) -> dict[str, Any]:
    """Base64 in two parts, joined by the page; equal first parts are written once."""
    starts: dict[bytes, int] = {}
    parts = [_parts(image) for image in images]
    first = [starts.setdefault(start, len(starts)) for start, _ in parts]
    return {
        "starts": [_base64(start) for start in starts],
        "start": first,
        "rest": [_base64(rest) for _, rest in parts],
    }


def _parts(image: bytes) -> tuple[bytes, bytes]:
    """Cut at a multiple of 3 bytes: so the two texts are the text of the whole."""
    cut = max(0, image.find(_START_OF_SCAN)) // 3 * 3
    return image[:cut], image[cut:]


def _base64(part: bytes) -> str:
    return b64encode(part).decode("ascii")
