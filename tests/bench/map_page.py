"""The page and the picture of a map at 20 to 20,000 points: sizes, and times in a real Chromium.

Thumbnails are those of a data set, positions a cloud for each label. Every repetition opens each
page anew, in turn. Latencies run from the event to the frame that shows what it did. Marks are
also drawn by one drawImage each, alternating with the page's own way.

    exemplar-train data fetch cifar10 emoji
    PYTHONPATH=tests .venv/bin/python tests/bench/map_page.py
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from base64 import b64encode
from itertools import cycle, islice
from pathlib import Path

import numpy as np

import browser as browsers
from exemplar import MapPoint, MapResult, PlacedQuery
from exemplar_server.backends.images import ImageLimits, thumbnail
from exemplar_training.data.layout import DEFAULT_ROOT
from exemplar_training.evaluation.trial import images_of

ROOT = DEFAULT_ROOT.expanduser()
COUNTS = (20, 300, 10_000, 20_000)
PAIRS = 7  # of drawings, in one page
HEADINGS = (
    *("thumbnails", "points", "page, MB", "with whole thumbnails, MB", "write, s", "PNG, s"),
    *("open to first drawing, ms", "hover to card, ms", "of these script", "filter, ms"),
    "step of the wheel, ms",
)

# The mean of 5 drawings, with a read at the end so that nothing is left undone.
DRAWINGS = """pairs => {
  const cell = 64, atlas = document.createElement("canvas"), pen = atlas.getContext("2d");
  const r = radius();
  [atlas.width, atlas.height] = [cell * data.labels.length, cell];
  data.labels.forEach((_, label) => {
    pen.fillStyle = color(label);
    pen.fill(new Path2D(outline(data.shapes[label], label * cell + cell / 2, cell / 2, r)));
  });
  const side = Math.ceil(r * 3) + 4, from = (cell - side) / 2;
  const byDrawImage = () => order.forEach(i => {
    if (i < E) context.drawImage(atlas, data.label[i] * cell + from, from, side, side,
      Math.round(screenX(i) - side / 2), Math.round(screenY(i) - side / 2), side, side);
  });
  const own = () => {
    const image = emptyImage(MARGIN);
    drawExemplars(image, order, r, 1, .72);
    context.putImageData(image, -MARGIN, -MARGIN);
  };
  const time = work => {
    const start = performance.now();
    for (let k = 0; k < 5; k++) work();
    context.getImageData(0, 0, 1, 1);
    return (performance.now() - start) / 5;
  };
  return Array.from({ length: pairs }, () => [time(own), time(byDrawImage)]);
}"""
LATENCY = """async ([event, target, options]) => {
  const start = performance.now();
  document.querySelector(target).dispatchEvent(new window[event](...options));
  const worked = performance.now() - start;
  await new Promise(done => requestAnimationFrame(() => setTimeout(done)));
  return [worked, performance.now() - start];
}"""
FIRST_DRAWING = """() => new Promise(done => requestAnimationFrame(
  () => setTimeout(() => done(performance.now()))))"""


def thumbnails(name, count):
    images = images_of(name, ROOT, None)
    rows = np.random.default_rng(0).permutation(len(images))[:count]
    made = [thumbnail(image, ImageLimits()) for image in images.of(rows).files]
    return list(islice(cycle(made), count))


def map_of(count, images, labels=20):
    rng = np.random.default_rng(0)
    ids = rng.integers(labels, size=count)
    places = rng.normal(scale=25, size=(labels, 2))[ids] + rng.normal(scale=6, size=(count, 2))
    points = [
        MapPoint(
            float(x), float(y), f"label {label:02d}", f"01945f3c-1b2c-7abc-8def-{at:012x}", image
        )
        for at, ((x, y), label, image) in enumerate(zip(places, ids, images, strict=True))
    ]
    suspects = {point.exemplar_id: "label 00" for point in points[:: max(10, count // 200)]}
    queries = [
        PlacedQuery(float(k), 0.0, f"{k}.png", "label 00", 0.5, 0.6, k % 3 == 0) for k in range(30)
    ]
    return MapResult(
        "bench", tuple(points), 1, "f" * 64, 30.0, 2.0, 0.97, 0.9, 0.92, tuple(queries), suspects
    )


def timed(work):
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def look(browser, path):
    """Milliseconds by name, of one opening."""
    with browsers.sight_of(browser, path, viewport={"width": 1280, "height": 800}) as sight:
        page = sight.page
        drawn = page.evaluate(FIRST_DRAWING)
        x, y = page.evaluate("[screenX(0), screenY(0)]")
        move = ["PointerEvent", "#canvas", ["pointermove", {"clientX": x, "clientY": y}]]
        click = ["MouseEvent", "#legend button", ["click", {"bubbles": True}]]
        wheel = {"deltaY": -100, "clientX": x, "clientY": y, "cancelable": True}
        hovered = page.evaluate(LATENCY, move)
        assert page.locator("#card img").is_visible()
        return {
            "open": drawn,
            "hover": hovered[1],
            "hover, script": hovered[0],
            "filter": page.evaluate(LATENCY, click)[1],
            "zoom": page.evaluate(LATENCY, ["WheelEvent", "#canvas", ["wheel", wheel]])[1],
        }


def spread(values, digits=0):
    low, middle, high = min(values), statistics.median(values), max(values)
    return f"{middle:.{digits}f} ({low:.{digits}f} to {high:.{digits}f})"


def page_rows(browser, name, folder, repetitions):
    images = thumbnails(name, max(COUNTS))
    maps = {count: map_of(count, images[:count]) for count in COUNTS}
    paths = {count: folder / f"{name}-{count}.html" for count in COUNTS}
    looks = {count: [] for count in COUNTS}
    writes, pictures = ({count: [] for count in COUNTS} for _ in range(2))
    for _ in range(repetitions):
        for count, result in maps.items():
            writes[count].append(timed(lambda: result.save_html(paths[count])))  # noqa: B023
            pictures[count].append(timed(lambda: result.save_png(folder / "map.png")))  # noqa: B023
            looks[count].append(look(browser, paths[count]))
    for count in COUNTS:
        whole = sum(len(b64encode(image)) for image in images[:count])
        size = paths[count].stat().st_size
        shared = size + whole - thumbnail_text(maps[count])
        cells = [
            f"{size / 1e6:.2f}",
            f"{shared / 1e6:.2f}",
            spread(writes[count], 2),
            spread(pictures[count], 2),
        ]
        cells += [
            spread([seen[key] for seen in looks[count]], 1 if "script" in key else 0)
            for key in looks[count][0]
        ]
        print(f"| {name} | {count:,} | {' | '.join(cells)} |")
    return paths[max(COUNTS)]


def thumbnail_text(result):
    """Characters that the page spends on thumbnails."""
    from exemplar.map_page import _thumbnails  # noqa: PLC0415

    parts = _thumbnails([point.thumbnail for point in result.points])
    return sum(map(len, parts["starts"])) + sum(map(len, parts["rest"])) + 2 * len(result.points)


def drawing_rows(browser, path):
    with browsers.sight_of(browser, path, viewport={"width": 1280, "height": 800}) as sight:
        pairs = sight.page.evaluate(DRAWINGS, PAIRS)
        sight.said.clear()  # Chromium's advice on reading a canvas often
    own, by_draw_image = zip(*pairs, strict=True)
    ratios = [other / mine for mine, other in pairs]
    print(f"| {spread(own)} | {spread(by_draw_image)} | **{spread(ratios, 1)}** |")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--data", nargs="+", default=["cifar10", "emoji"])
    parser.add_argument("--repetitions", type=int, default=5)
    options = parser.parse_args()
    print(f"| {' | '.join(HEADINGS)} |")
    print(f"|{'---|' * len(HEADINGS)}")
    with browsers.started() as browser, tempfile.TemporaryDirectory() as folder:
        for name in options.data:
            path = page_rows(browser, name, Path(folder), options.repetitions)
        print("\n| pixel by pixel, ms | drawImage, ms | ratio |\n|---|---|---|")
        drawing_rows(browser, path)


if __name__ == "__main__":
    main()
