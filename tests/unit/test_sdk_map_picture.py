"""Claims about a map as a PNG file and in a notebook."""

import sys
from html import unescape

import pytest
from PIL import Image

from exemplar import FailedPreconditionError, MapPoint, MapResult, PlacedQuery
from exemplar.map_marks import LIGHT
from pictures import encoded

HOSTILE = ("$x_{", "_hidden", "a\nb", "</svg>", "\u202eevil", "\U0001f600", "", "x" * 128)
RED = (201, 42, 42)


def result_of(points):
    return MapResult("inspection", tuple(points), 3, "f" * 64, 5.0, 0.5, 0.97, 0.88, 0.9)


def drawn(result, tmp_path):
    result.save_png(tmp_path / "map.png")
    return Image.open(tmp_path / "map.png").convert("RGB")


def rgb(color):
    return tuple(int(color[at : at + 2], 16) for at in (1, 3, 5))


def count(image, color):
    """Pixels near a color."""
    return sum(
        n
        for n, pixel in image.getcolors(image.width * image.height)
        if max(abs(a - b) for a, b in zip(pixel, color, strict=True)) < 30
    )


def cloud(n, labels):
    return [
        MapPoint(i * 0.618 % 1, i * 0.414 % 1, labels[i % len(labels)], str(i)) for i in range(n)
    ]


@pytest.mark.parametrize("n", [0, 1, 20, 20_000])
def test_any_number_of_points_makes_a_picture(n, tmp_path):
    image = drawn(result_of(cloud(n, ["a", "b"])), tmp_path)
    assert image.size == (1500, 1050)
    assert (count(image, rgb(LIGHT[1])) > 50) == (n > 1)


def test_names_are_never_taken_for_formulas_or_left_out(tmp_path):
    points = cloud(len(HOSTILE), HOSTILE)
    queries = [PlacedQuery(0.0, 0.0, HOSTILE[0], "$only of a query")]
    image = drawn(result_of(points).with_queries(queries), tmp_path)
    assert count(image, rgb(LIGHT[1])) > 20


def test_a_thousand_labels_end_in_a_legend_that_fits(tmp_path):
    image = drawn(result_of(cloud(2000, [f"label {k}" for k in range(1000)])), tmp_path)
    bottom = image.crop((1200, image.height - 8, image.width, image.height))
    assert bottom.getcolors() == [(300 * 8, (255, 255, 255))]


def test_suspects_are_ringed_in_red(tmp_path):
    plain = result_of(cloud(100, ["a", "b"]))
    marked = plain.with_suspects({"3": "b", "gone": "b"})
    assert count(drawn(plain, tmp_path), RED) == 0
    assert count(drawn(marked, tmp_path), RED) > 30


def test_few_points_show_their_pictures(tmp_path):
    green = encoded(Image.new("RGB", (32, 16), (0, 250, 0)))
    points = [MapPoint(0.0, 0.0, "a", "1", green), MapPoint(1.0, 1.0, "a", "2", b"not an image")]
    queries = [PlacedQuery(2.0, 0.0, "q.png", "a", is_unknown=True, thumbnail=green)]
    image = drawn(result_of(points).with_queries(queries).with_suspects({"1": "b"}), tmp_path)
    # Two pictures of 27 points width and half as high, at 150 dots an inch, less their badges.
    assert count(image, (0, 250, 0)) == pytest.approx(2 * (27 / 72 * 150) ** 2 / 2, rel=0.2)
    assert count(image, RED) > 30


def test_the_same_map_gives_the_same_bytes(tmp_path):
    result = result_of(cloud(50, ["a", "b"]))
    result.save_png(tmp_path / "1.png")
    result.save_png(tmp_path / "2.png")
    assert (tmp_path / "1.png").read_bytes() == (tmp_path / "2.png").read_bytes()


def test_without_the_extra_it_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    monkeypatch.delitem(sys.modules, "exemplar.map_picture", raising=False)
    with pytest.raises(FailedPreconditionError, match=r"pip install 'exemplar\[pictures\]'"):
        result_of([]).save_png(tmp_path / "map.png")


def test_a_notebook_shows_the_page_in_a_frame_that_may_only_run_its_script():
    result = result_of([MapPoint(0.0, 0.0, '"></iframe><script>', "id")])
    html = result._repr_html_()
    head, _, page = html.partition(' srcdoc="')
    assert 'sandbox="allow-scripts"' in head
    assert unescape(page.removesuffix('"></iframe>')) == result.to_html()
    assert page.count('"') == 1  # nothing ends the attribute early
