"""A map drawn with its own thumbnails. The only file of the demo that imports matplotlib.

Shapes: N points with 2 coordinates, H, W, C of a thumbnail.
"""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.offsetbox import AnnotationBbox, OffsetImage
from PIL import Image, ImageDraw, ImageOps

if TYPE_CHECKING:
    from pathlib import Path

    from matplotlib.axes import Axes
    from numpy.typing import NDArray

    from exemplar import MapPoint, MapResult

INCHES = 12.0
DOTS_PER_INCH = 100
THUMBNAIL_SIDE = 64  # the server's
# Of the picture, by all thumbnails together: more is a heap, less leaves dots.
COVERED = 0.2
MARGIN = 0.05
LINES = "#c4cbd6"
WHITE_SPREAD = 40  # how far JPEG's noise strays from white, all channels together
MARKER = (255, 0, 254)


def save_picture(result: MapResult, title: str, path: Path) -> None:
    """Each point is its image; a thin line leads from it to the middle of its label's images."""
    figure = Figure(figsize=_inches(result), dpi=DOTS_PER_INCH, layout="constrained")
    axes = figure.subplots()
    axes.set_title(title, fontsize=16)
    axes.set_axis_off()
    axes.set_aspect("equal", adjustable="datalim")
    axes.margins(MARGIN)
    axes.add_collection(LineCollection(_lines(result), colors=LINES, linewidths=1))
    axes.scatter([p.x for p in result.points], [p.y for p in result.points], s=4, c=LINES)
    for point in result.points:
        _draw(axes, point, _zoom(len(result.points)))
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, format="png")


def _inches(result: MapResult) -> tuple[float, float]:
    """As wide as INCHES and as high as the map needs: distances keep their proportion."""
    places_N2 = np.array([(p.x, p.y) for p in result.points])
    width, height = (float(extent) for extent in np.ptp(places_N2, axis=0))
    return INCHES, INCHES * min(max(height / max(width, 1e-9), 0.5), 1.5)


def _draw(axes: Axes, point: MapPoint, zoom: float) -> None:
    if not point.thumbnail:
        return
    image = OffsetImage(_see_through(point.thumbnail), zoom=zoom)
    axes.add_artist(AnnotationBbox(image, (point.x, point.y), frameon=False, pad=0))


def _see_through(thumbnail: bytes) -> NDArray[np.uint8]:
    """The thumbnail with a white background made transparent, (H, W, 4): neighbors overlap.

    Background is what is white and reaches the edge: white inside a drawing stays.
    """
    image = Image.open(io.BytesIO(thumbnail)).convert("RGB")
    framed = ImageOps.expand(image, 1, "white")
    ImageDraw.floodfill(framed, (0, 0), MARKER, thresh=WHITE_SPREAD)
    is_background_HW = (np.asarray(ImageOps.crop(framed, 1)) == MARKER).all(axis=2)
    image.putalpha(Image.fromarray(np.where(is_background_HW, 0, 255).astype(np.uint8)))
    return np.asarray(image)


def _lines(result: MapResult) -> list[NDArray[np.float64]]:
    members: dict[str, list[tuple[float, float]]] = {}
    for point in result.points:
        members.setdefault(point.label, []).append((point.x, point.y))
    middles = {label: np.mean(places, axis=0) for label, places in members.items()}
    return [np.array([(p.x, p.y), middles[p.label]]) for p in result.points]


def _zoom(points: int) -> float:
    """N thumbnails of side s cover N s^2 = COVERED (INCHES DPI)^2 pixels; zoom = s / 64."""
    side = INCHES * DOTS_PER_INCH * (COVERED / max(points, 1)) ** 0.5
    return min(side / THUMBNAIL_SIDE, 1.0)
