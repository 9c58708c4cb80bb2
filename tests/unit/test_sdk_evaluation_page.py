"""Claims about what an evaluation's page holds; test_evaluation_in_browser.py looks at it."""

import json
import re
from html import unescape

import pytest

from exemplar import Accuracy, Confusion, Duplicate, Evaluation, LabelEvaluation, Suspect

HOSTILE = "</script><script>alert(1)</script><!-- {{ script }} & \u2028"


def evaluation_of(label="ok", **changes):
    share = Accuracy(0.5, 0.25, 0.75, 2)
    known = {
        "support_set": "inspection",
        "revision": 3,
        "fingerprint": "f" * 64,
        "head": "knn",
        "exemplar_count": 2,
        "accuracy": share,
        "labels": (LabelEvaluation(label, 2, share, None, 3, label),),
        "confusions": (Confusion(label, "bad", 1, (label,)),),
        "suspects": (Suspect(label, label, label, 0.5, ()),),
        "duplicates": (Duplicate(label, label, "b", label, 1.0),),
    }
    return Evaluation(**{**known, **changes})


def data_of(page):
    return json.loads(re.search(r'id="data">(.*?)</script>', page, re.DOTALL).group(1))


def test_no_name_can_leave_its_place():
    page = evaluation_of(HOSTILE, support_set=HOSTILE, thumbnails={HOSTILE: b"x"}).to_html()
    assert page.count("<script") == 2
    assert "alert(1)</script>" not in page
    assert data_of(page)["suspects"][0]["label"] == HOSTILE


def test_the_page_asks_no_network():
    page = evaluation_of().to_html()
    assert "default-src 'none'" in page
    assert "http://" not in page
    assert "https://" not in page


def test_the_page_holds_every_finding_and_image(tmp_path):
    found = evaluation_of(thumbnails={"b": b"\xff\xd8b", "a": b"\xff\xd8a"})
    found.save_html(tmp_path / "report.html")
    data = data_of((tmp_path / "report.html").read_text(encoding="utf-8"))
    assert {key: data[key] for key in found.to_dict()} == json.loads(json.dumps(found.to_dict()))
    images = [
        data["starts"][at] + rest for at, rest in zip(data["start"], data["rest"], strict=True)
    ]
    assert dict(zip(data["image_ids"], images, strict=True)) == {"a": "/9hh", "b": "/9hi"}


def test_the_same_evaluation_gives_the_same_page():
    images = {"a": b"1", "b": b"2"}
    turned = dict(reversed(images.items()))
    assert evaluation_of(thumbnails=images).to_html() == evaluation_of(thumbnails=turned).to_html()


def test_a_share_that_is_no_number_is_refused():
    with pytest.raises(ValueError, match="JSON"):
        evaluation_of(accuracy=Accuracy(float("nan"), 0.0, 1.0, 2)).to_html()


def test_a_notebook_shows_the_page_in_a_frame_that_may_only_run_its_script():
    found = evaluation_of('"></iframe><script>')
    head, _, page = found._repr_html_().partition(' srcdoc="')
    assert 'sandbox="allow-scripts"' in head
    assert unescape(page.removesuffix('"></iframe>')) == found.to_html()
