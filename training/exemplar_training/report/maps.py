"""The same images on two maps: t-SNE of the embeddings before and after.

Shapes: N images, M images on the map, D dim.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from exemplar_training.data.balanced import balanced_rows
from exemplar_training.report import chart, tsne
from exemplar_training.report.chart import Scale
from exemplar_training.report.labels import shown_class_ids
from exemplar_training.report.markup import element, figure, paragraph, percent, section

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

    from numpy.typing import NDArray

    from exemplar_training.data.image_set import ImageSet
    from exemplar_training.report.findings import Findings, Subject

MOST_IMAGES = 1000
_LEAST_EACH = 20  # images of a class, rather than one of each of very many
_MARGIN, _NONE = 8, -1
_SAME = 1e-6


def maps(found: Findings) -> Element:
    shown = shown_class_ids(found)
    rows_M = rows_on_map(found.images, shown, found.drawn.trial.seed)
    names = [(series, found.images.class_names[c]) for series, c in enumerate(shown)]
    class_count = len(set(found.images.class_ids_N[rows_M].tolist()))
    if class_count > len(shown):
        names.append((_NONE, f"{class_count - len(shown)} other labels"))
    charts = [_figure(found, subject, rows_M, shown) for subject in (found.before, found.after)]
    told = f"{len(rows_M)} images of {class_count} labels" + (
        "" if len(rows_M) == len(found.images) else f", drawn from {len(found.images)}"
    )
    return section(
        "Maps",
        paragraph(
            f"t-SNE of the same {told}: images that the backbone finds alike lie together. "
            "Distances between groups and their sizes mean little. Hovering shows a mark's label."
        ),
        chart.key(names),
        element("div", {"class": "charts maps"}, *charts),
    )


def rows_on_map(images: ImageSet, first: list[int], seed: int) -> NDArray[np.int64]:
    """At most about 1,000 rows, ascending: equally many of each class, `first` classes first."""
    rng = np.random.default_rng(seed)
    return balanced_rows(images.class_ids_N, MOST_IMAGES, _LEAST_EACH, rng, first)


def _figure(
    found: Findings, subject: Subject, rows_M: NDArray[np.int64], shown: list[int]
) -> Element:
    embeddings_MD, class_ids_M = subject.embeddings_ND[rows_M], found.images.class_ids_N[rows_M]
    if np.ptp(embeddings_MD, axis=0).max() < _SAME:
        return figure(f"{subject.name}. No map: it gives all images the same embedding.")
    points_M2 = tsne.layout(embeddings_MD, found.drawn.trial.seed)
    on_map, before_it = (
        percent(tsne.agreement(places, class_ids_M)) for places in (points_M2, embeddings_MD)
    )
    words = (
        f"{subject.name}. The nearest image has the same label for {on_map} % on the map, for "
        f"{before_it} % in the embedding. Trustworthiness of the map: "
        f"{tsne.faithfulness(embeddings_MD, points_M2):.3f}"
    )
    return figure(words, _scatter(found.images, points_M2, class_ids_M, shown, words))


def _scatter(
    images: ImageSet,
    points_M2: NDArray[np.float64],
    class_ids_M: NDArray[np.int64],
    shown: list[int],
    words: str,
) -> Element:
    series_of = {class_id: series for series, class_id in enumerate(shown)}
    from_corner_M2 = points_M2 - points_M2.min(axis=0)
    width, height = from_corner_M2.max(axis=0).tolist()
    place = Scale(0, width, _MARGIN, chart.WIDTH - _MARGIN)
    marks = []
    for (x, y), class_id in zip(from_corner_M2.tolist(), class_ids_M.tolist(), strict=True):
        series = series_of.get(class_id, _NONE)
        marks.append(chart.mark(place(x), place(y), series, images.class_names[class_id]))
    # The named ones above the others.
    marks.sort(key=lambda mark: mark.get("class") != "rest")
    return chart.svg(place(height) + _MARGIN, words, *marks)
