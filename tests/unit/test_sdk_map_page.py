"""Claims about what the page of a map holds; test_map_in_browser.py looks at it."""

import json
import re
from base64 import b64encode
from itertools import combinations

import pytest

from exemplar import Answer, ItemError, MapPoint, MapPosition, MapResult, PlacedQuery, map_picture
from exemplar.map_marks import DARK, LIGHT, SHAPES, colors, shapes

HOSTILE = "</script><script>alert(1)</script><!-- {{ script }} & \u2028"


def result_of(points):
    return MapResult("inspection", tuple(points), 3, "f" * 64, 5.0, 0.5)


def data_of(page):
    return json.loads(re.search(r'id="data">(.*?)</script>', page, re.DOTALL).group(1))


def thumbnails_of(data):
    return [
        data["starts"][start] + rest
        for start, rest in zip(data["start"], data["rest"], strict=True)
    ]


def test_a_label_cannot_leave_its_place():
    page = result_of([MapPoint(0.0, 0.0, HOSTILE, "id")]).to_html()
    assert page.count("<script") == 2
    assert "alert(1)</script>" not in page
    assert data_of(page)["labels"] == [HOSTILE]


def test_the_page_asks_no_network():
    page = result_of([MapPoint(0.0, 0.0, "ok", "id")]).to_html()
    assert "default-src 'none'" in page
    assert "http://" not in page
    assert "https://" not in page


def test_the_page_holds_every_point(tmp_path):
    points = [MapPoint(1.5, -2.0, "ok", "a", b"\xff\xd8"), MapPoint(0.0, 0.0, "bad", "b")]
    result_of(points).save_html(tmp_path / "map.html")
    data = data_of((tmp_path / "map.html").read_text(encoding="utf-8"))
    assert (data["x"], data["y"]) == ([1.5, 0.0], [-2.0, 0.0])
    assert [data["labels"][label] for label in data["label"]] == ["ok", "bad"]
    assert data["id"] == ["a", "b"]
    assert thumbnails_of(data) == ["/9g=", ""]
    assert (data["support_set"], data["revision"]) == ("inspection", 3)


def test_no_name_can_leave_its_place():
    result = result_of([MapPoint(0.0, 0.0, "ok", HOSTILE, b"")])
    queries = [PlacedQuery(0.0, 0.0, HOSTILE, HOSTILE)]
    page = result.with_queries(queries).with_suspects({HOSTILE: HOSTILE}).to_html()
    assert page.count("<script") == 2
    data = data_of(page)
    assert (data["id"], data["suspects"]) == ([HOSTILE, HOSTILE], {"0": HOSTILE})


@pytest.mark.parametrize("length", range(7))
def test_what_thumbnails_have_in_common_is_written_once(length):
    start = b"\xff\xd8" + bytes(length)
    images = [start + b"\xff\xda" + bytes([k]) * 5 for k in range(4)]
    data = data_of(result_of([MapPoint(0.0, 0.0, "ok", "id", image) for image in images]).to_html())
    assert len(data["starts"]) == 1
    assert thumbnails_of(data) == [b64encode(image).decode() for image in images]


def test_a_query_shows_its_answer_and_lies_after_the_exemplars():
    answer = Answer(label="bad", score=0.5, probability=0.75, is_unknown=True)
    queries = [
        PlacedQuery.answered("a.png", MapPosition(1.0, 2.0), answer, b"png"),
        PlacedQuery(3.0, 4.0, "b"),
    ]
    data = data_of(result_of([MapPoint(0.0, 0.0, "ok", "id")]).with_queries(queries).to_html())
    assert (data["x"], data["id"]) == ([0.0, 1.0, 3.0], ["id", "a.png", "b"])
    assert data["labels"] == ["bad", "ok"]
    assert data["label"] == [1, 0, -1]  # -1: not classified
    assert data["queries"] == [[0.5, 0.75, True], [0.0, None, False]]


def test_queries_without_a_place_are_left_out_and_those_without_an_answer_are_not():
    failed = ItemError("UNDECODABLE_IMAGE", "expected an image")
    positions = [MapPosition(1.0, 2.0), MapPosition(error=failed), MapPosition(3.0, 4.0)]
    answers = [Answer("ok", 0.5), Answer("ok", 0.5), Answer(error=failed)]
    placed = result_of([]).with_answers(["a", "b", "c"], positions, answers).queries
    assert [(query.name, query.x, query.label) for query in placed] == [
        ("a", 1.0, "ok"),
        ("c", 3.0, ""),
    ]


def test_suspects_that_are_not_on_the_map_are_passed_over():
    result = result_of([MapPoint(0.0, 0.0, "ok", "a"), MapPoint(0.0, 0.0, "ok", "b")])
    assert data_of(result.with_suspects({"b": "bad", "gone": "bad"}).to_html())["suspects"] == {
        "1": "bad"
    }


def of_sizes(*sizes):
    points = [
        MapPoint(float(at), 0.0, str(label), f"{label}-{at}")
        for label, size in enumerate(sizes)
        for at in range(size)
    ]
    return MapResult("set", tuple(points), 3, "f" * 64, 5.0, 0.5, 0.97, 0.875, 0.9)


@pytest.mark.parametrize(
    ("sizes", "is_telling"),
    [((), False), ((2, 2), False), ((10, 10), False), ((2, 11, 12), True), ((2, 2, 90), False)],
)
def test_label_agreement_is_told_where_the_typical_label_can_fill_ten_neighbors(sizes, is_telling):
    result = of_sizes(*sizes)
    data = data_of(result.to_html())
    shown = (data["label_agreement"], data["embedding_label_agreement"])
    assert shown == ((0.875, 0.9) if is_telling else (None, None))
    assert ("own label" in map_picture.facts(result)) == is_telling
    assert data["trustworthiness"] == 0.97


def test_points_without_labels_do_not_count_as_a_label():
    points = [MapPoint(0.0, 0.0, "", str(at)) for at in range(30)]
    assert not result_of(points).is_agreement_telling


def test_a_map_without_points_has_a_page():
    assert data_of(result_of([]).to_html())["x"] == []


def test_the_first_140_labels_differ_in_color_or_shape():
    labels = [f"label {k}" for k in range(140)]
    looks = list(zip(colors(labels), shapes(labels), strict=True))
    assert len(set(looks)) == 140
    assert tuple(colors(labels, DARK)[:20]) == DARK  # the list as it is
    assert len(set(colors([f"label {k}" for k in range(1000)], LIGHT))) > 140


def test_no_label_is_gray():
    assert colors(["", "cat"])[0] not in LIGHT
    assert colors(["cat", "dog"])[0] == LIGHT[0]


@pytest.mark.parametrize("palette", [LIGHT, DARK])
def test_labels_of_one_shape_differ_in_lightness_or_hue_for_the_color_blind(palette):
    """Deuteranopia (Machado et al. 2009), in linear RGB: a step of 0.1 is plain to see."""
    rows = [(0.367, 0.861, -0.228), (0.280, 0.673, 0.047), (-0.012, 0.043, 0.969)]

    def seen(color):
        linear = [(int(color[at : at + 2], 16) / 255) ** 2.2 for at in (1, 3, 5)]
        return [sum(map(float.__mul__, row, linear)) for row in rows]

    of_one_shape = [(a, b) for a, b in combinations(range(20), 2) if (b - a) % len(SHAPES) == 0]
    assert all(
        max(abs(p - q) for p, q in zip(seen(palette[a]), seen(palette[b]), strict=True)) > 0.1
        for a, b in of_one_shape
    )


def test_a_position_that_is_no_number_is_refused():
    with pytest.raises(ValueError, match="JSON"):
        result_of([MapPoint(float("nan"), 0.0, "ok", "id")]).to_html()
