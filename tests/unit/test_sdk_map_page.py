"""Claims about the page of a map."""

import json
import re

import pytest

from exemplar import MapPoint, MapResult

HOSTILE = "</script><script>alert(1)</script><!-- {{ script }} & \u2028"


def result_of(points):
    return MapResult("inspection", tuple(points), 3, "f" * 64, 5.0, 0.5)


def data_of(page):
    return json.loads(re.search(r'id="data">(.*?)</script>', page, re.DOTALL).group(1))


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
    assert data["thumbnail"] == ["/9g=", ""]
    assert (data["support_set"], data["revision"]) == ("inspection", 3)


def test_a_position_that_is_no_number_is_refused():
    with pytest.raises(ValueError, match="JSON"):
        result_of([MapPoint(float("nan"), 0.0, "ok", "id")]).to_html()
