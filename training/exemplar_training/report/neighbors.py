"""A sheet of pictures: some images, and those that the backbone finds most alike.

Shapes: N images, Q queries, D dim.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from exemplar_server.backends.images import ImageLimits, thumbnail
from exemplar_training.data.balanced import balanced_rows
from exemplar_training.report.markup import element, paragraph, picture, section

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

    from numpy.typing import NDArray

    from exemplar_training.data.image_set import ImageSet
    from exemplar_training.report.findings import Findings

MOST_QUERIES, MOST_NEIGHBORS = 12, 8
_LIMITS = ImageLimits()


@dataclass(frozen=True)
class Nearest:
    """The rows of the images nearest to the one at `row`, nearest first, and their similarities."""

    row: int
    neighbors: list[int]
    similarities: list[float]


def nearest(images: ImageSet, embeddings_ND: NDArray[np.float32], row: int) -> Nearest:
    """Of all other images, where there are sources of all images of other sources."""
    sources_N = np.arange(len(images)) if images.sources_N is None else images.sources_N
    others = np.flatnonzero(sources_N != sources_N[row])
    similarities = embeddings_ND[others] @ embeddings_ND[row]
    first = np.argsort(-similarities, kind="stable")[:MOST_NEIGHBORS]
    return Nearest(row, others[first].tolist(), similarities[first].tolist())


def neighbors(found: Findings) -> Element:
    images, rng = found.images, np.random.default_rng(found.drawn.trial.seed)
    rows_Q = balanced_rows(images.class_ids_N, MOST_QUERIES, 1, rng)
    shown, before = (
        [nearest(images, subject.embeddings_ND, row) for row in rows_Q.tolist()]
        for subject in (found.after, found.before)
    )
    others = "other images" if images.sources_N is None else "images of other sources"
    alike = (
        f"{_alike(images, shown)} by {found.after.name}, "
        f"{_alike(images, before)} by {found.before.name}"
    )
    return section(
        "Nearest images",
        paragraph(
            f"Left an image, drawn by seed and spread over the labels. Right the {others} that "
            f"{found.after.name} finds most alike, with their cosine similarity: the same label, "
            f"or another one in a dashed frame. Neighbors with the image's label: {alike}."
        ),
        element("ul", {"class": "sheet"}, *[_row(images, each) for each in shown]),
    )


def _alike(images: ImageSet, found: list[Nearest]) -> str:
    same = sum(_is_alike(images, one.row, near) for one in found for near in one.neighbors)
    return f"{same} of {sum(len(each.neighbors) for each in found)}"


def _is_alike(images: ImageSet, row: int, neighbor: int) -> bool:
    return bool(images.class_ids_N[row] == images.class_ids_N[neighbor])


def _row(images: ImageSet, one: Nearest) -> Element:
    query = _cell(images, one.row, _label(images, one.row), "query")
    cells = [
        _neighbor(images, one.row, near, similarity)
        for near, similarity in zip(one.neighbors, one.similarities, strict=True)
    ]
    return element("li", {}, query, element("div", {"class": "near"}, *cells))


def _neighbor(images: ImageSet, row: int, near: int, similarity: float) -> Element:
    is_alike = _is_alike(images, row, near)
    told = "same" if is_alike else _label(images, near)
    return _cell(images, near, told, "same" if is_alike else "other", f"{similarity:.3f}")


def _cell(images: ImageSet, row: int, told: str, kind: str, number: str = "") -> Element:
    words = f"image {row}: {_label(images, row)}"
    caption = [element("strong", {}, number)] if number else []
    caption.append(element("span", {"title": told}, told))
    shown = picture(thumbnail(images.files[row], _LIMITS), words)
    return element("figure", {"class": kind}, shown, element("figcaption", {}, *caption))


def _label(images: ImageSet, row: int) -> str:
    return images.class_names[int(images.class_ids_N[row])]
