"""Writes an evaluation as one page that needs no network, from the files pages/evaluation*."""

from __future__ import annotations

from typing import TYPE_CHECKING

from exemplar.page import assemble
from exemplar.page_images import packed

if TYPE_CHECKING:
    from exemplar.evaluation import Evaluation

_STYLES = ("base.css", "evaluation.css")
_PARTS = ("parts", "headline", "suspects", "duplicates", "labels", "confusions")
_SCRIPTS = ("page.js", *(f"evaluation_{part}.js" for part in _PARTS))


def render(found: Evaluation) -> str:
    images = dict(sorted(found.thumbnails.items()))
    data = {**found.to_dict(), "image_ids": list(images), **packed(list(images.values()))}
    return assemble("evaluation.html", _STYLES, _SCRIPTS, data)
