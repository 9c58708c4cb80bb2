"""Puts pages together from the files in pages/: each is one file that needs no network."""

from __future__ import annotations

import json
from collections.abc import Iterable
from html import escape
from importlib.resources import files


def assemble(page: str, styles: Iterable[str], scripts: Iterable[str], data: object) -> str:
    """pages/`page` with the other files put in for `{{ style }}` and `{{ script }}`."""
    text = _part(page).replace("{{ style }}", "".join(_part(name) for name in styles))
    text = text.replace("{{ script }}", "".join(_part(name) for name in scripts))
    # The data comes last: what a label says is never taken for a placeholder.
    return text.replace("{{ data }}", script_json(data))


def _part(name: str) -> str:
    return files("exemplar").joinpath("pages", name).read_text(encoding="utf-8")


def script_json(data: object) -> str:
    """JSON that cannot end the script element around it, nor start another or a comment."""
    text = json.dumps(data, separators=(",", ":"), allow_nan=False)
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def frame(page: str) -> str:
    """An element that shows a page in another, such as a notebook's; it may only run its script."""
    look = "width: 100%; height: 640px; border: 0"
    return f'<iframe sandbox="allow-scripts" style="{look}" srcdoc="{escape(page)}"></iframe>'
