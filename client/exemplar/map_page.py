"""Writes a map as one page that needs no network, from the files pages/map*."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from exemplar.map_marks import DARK, LIGHT, colors, shapes
from exemplar.page import assemble
from exemplar.page_images import packed

if TYPE_CHECKING:
    from exemplar.map_result import MapPoint, MapResult, PlacedQuery

_STYLES = ("base.css", "map.css")
_PARTS = ("marks", "view", "draw", "legend", "picture", "moves")
_SCRIPTS = ("page.js", *(f"map_{part}.js" for part in _PARTS))


def render(result: MapResult) -> str:
    labels = result.labels
    looks = {
        "labels": labels,
        "light": colors(labels, LIGHT),
        "dark": colors(labels, DARK),
        "shapes": shapes(labels),
    }
    data = {**_facts(result), **looks, **_columns(result, labels)}
    return assemble("map.html", _STYLES, _SCRIPTS, data)


def _facts(result: MapResult) -> dict[str, Any]:
    names = (
        "support_set",
        "revision",
        "fingerprint",
        "perplexity",
        "kl_divergence",
        "trustworthiness",
    )
    agreements = ("label_agreement", "embedding_label_agreement")
    facts = {name: getattr(result, name) for name in (*names, *agreements)}
    return facts if result.is_agreement_telling else {**facts, **dict.fromkeys(agreements)}


def _columns(result: MapResult, labels: Sequence[str]) -> dict[str, Any]:
    """Exemplars, then queries, by column: about half the size of one object a point."""
    index_of = {label: index for index, label in enumerate(labels)}
    every: list[MapPoint | PlacedQuery] = [*result.points, *result.queries]
    ids = [point.exemplar_id for point in result.points]
    return {
        "x": [round(point.x, 4) for point in every],
        "y": [round(point.y, 4) for point in every],
        "label": [index_of.get(point.label, -1) for point in every],
        "id": ids + [query.name for query in result.queries],
        "suspects": {at: result.suspects[i] for at, i in enumerate(ids) if i in result.suspects},
        "queries": [[q.score, q.probability, q.is_unknown] for q in result.queries],
        **packed([point.thumbnail for point in every]),
    }
