"""Claims about `exemplar evaluate`, against a server in this process."""

import json
from base64 import b64encode

import pytest

from exemplar import cli
from unit.sdk_fake_server import FakeServer
from unit.sdk_serving import serving


@pytest.fixture
def run(capsys):
    with serving(FakeServer()) as target:

        def run(*arguments):
            code = cli.main(["--server", target, *map(str, arguments)])
            printed = capsys.readouterr()
            return code, printed.out, printed.err

        yield run


@pytest.fixture
def mixed(run, tmp_path):
    """ok/2.png is a scratch, the very same image as scratch/2.png; dent has one exemplar."""
    images = {"ok/1": b"a1", "ok/2": b"b2", "ok/3": b"a3", "scratch/1": b"b1", "scratch/2": b"b2"}
    for name, image in {**images, "dent/1": b"c1"}.items():
        path = tmp_path / "photos" / f"{name}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(image)
    run("add", "mixed", tmp_path / "photos")


def table_under(out, title):
    """The rows of cells below a title, without their heading."""
    lines = out.split(f"{title}\n")[1].split("\n\n")[0].splitlines()
    return [line.split() for line in lines[1:]]


def test_an_evaluation_is_printed_as_tables(run, mixed):
    code, out, err = run("evaluate", "mixed", "--head", "knn")
    assert (code, err) == (0, "")
    assert out.startswith("6 exemplars, head knn; answered right by the others: 33% (17% to 100%)")
    assert ["dent", "1", "-", "-"] in [line.split() for line in out.splitlines()]
    assert table_under(out, "labels that need more exemplars:") == [
        ["dent", "1", "1", "it", "has", "1", "exemplar"]
    ]
    suspects = table_under(out, "likely mislabelled, the likeliest first:")
    assert ["id-00002", "ok", "scratch", "0.50"] in suspects
    (pair,) = table_under(out, "nearly the same image, the closest first:")
    assert " ".join(pair) == "id-00002 id-00005 ok and scratch: one is wrong 1.000"
    confusions = table_under(out, "answered with another label, the most frequent first:")
    assert ["ok", "scratch", "1"] in confusions


def test_what_was_not_found_has_no_table(run, tmp_path):
    for name in ("1.png", "2.png"):
        (tmp_path / name).write_bytes(b"a" + name.encode())
    run("add", "clean", tmp_path, "--label", "ok")
    out = run("evaluate", "clean")[1]
    assert out.count("\n\n") == 1
    assert "mislabelled" not in out


def test_findings_bound_each_table(run, mixed):
    out = run("evaluate", "mixed", "--findings", "1")[1]
    assert len(table_under(out, "likely mislabelled, the likeliest first:")) == 1


def test_an_evaluation_is_written_as_a_page_with_its_images(run, mixed, tmp_path):
    page = tmp_path / "report.html"
    code, out, err = run("evaluate", "mixed", "--html", page)
    assert (code, err) == (0, "")
    assert out.startswith("6 exemplars")
    text = page.read_text(encoding="utf-8")
    assert '"image_ids":["id-00000",' in text
    assert b64encode(b"\xff\xd8dent").decode() in text


def test_a_page_that_cannot_be_written_is_one_line(run, mixed, tmp_path):
    code, out, err = run("evaluate", "mixed", "--html", tmp_path / "no" / "report.html")
    assert (code, out, err.count("\n")) == (1, "", 1)


def test_an_evaluation_is_printed_as_one_json_object(run, mixed):
    code, out, _ = run("evaluate", "mixed", "--json")
    told = json.loads(out)
    assert (code, told["support_set"], told["exemplar_count"]) == (0, "mixed", 6)
    assert told["duplicates"][0]["other_exemplar_id"] == "id-00005"
    assert "thumbnails" not in told
