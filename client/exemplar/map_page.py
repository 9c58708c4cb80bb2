"""Writes a map as one page that needs no network: map_page.html with script and points put in."""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Sequence
from importlib.resources import files
from typing import Any

# Position (x, y), label, exemplar id, JPEG.
PagePoint = tuple[float, float, str, str, bytes]


def render(points: Sequence[PagePoint], facts: dict[str, Any]) -> str:
    """`facts`: what the page says above the points; see MapResult.to_html."""
    labels = sorted({point[2] for point in points})
    index_of = {label: index for index, label in enumerate(labels)}
    # By column: about half the size of one object a point.
    data = {
        **facts,
        "labels": labels,
        "x": [round(point[0], 4) for point in points],
        "y": [round(point[1], 4) for point in points],
        "label": [index_of[point[2]] for point in points],
        "id": [point[3] for point in points],
        "thumbnail": [b64encode(point[4]).decode("ascii") for point in points],
    }
    page = _part("map_page.html").replace("{{ script }}", _part("map_page.js"))
    # The data comes last: what a label says is never taken for a placeholder.
    return page.replace("{{ data }}", script_json(data))


def _part(name: str) -> str:
    return files("exemplar").joinpath(name).read_text(encoding="utf-8")


def script_json(data: object) -> str:
    """JSON that cannot end the script element around it, nor start another or a comment."""
    text = json.dumps(data, separators=(",", ":"), allow_nan=False)
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")
