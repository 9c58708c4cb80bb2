"""Claims about the command line, against a server in this process."""

import io
import json

import numpy as np
import pytest

from exemplar import cli
from unit.sdk_fake_server import FakeServer
from unit.sdk_serving import serving


@pytest.fixture
def fake():
    return FakeServer()


@pytest.fixture
def run(fake, capsys):
    with serving(fake) as target:

        def run(*arguments):
            code = cli.main(["--server", target, *map(str, arguments)])
            printed = capsys.readouterr()
            return code, printed.out, printed.err

        yield run


@pytest.fixture
def folder(tmp_path):
    for name in ("ok/a1.jpg", "ok/a2.PNG", "scratch/b1.webp", "scratch/notes.txt"):
        path = tmp_path / "photos" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(path.name.encode())
    return tmp_path / "photos"


def test_a_folder_of_folders_is_added_by_label(run, fake, folder):
    code, out, err = run("add", "inspection", folder)
    assert (code, err) == (0, "")
    assert out.splitlines() == [
        "label    added  failed",
        "ok       2      0",
        "scratch  1      0",
        "inspection: 3 exemplars, revision 2",
    ]
    labels = [exemplar.label for exemplar in fake.sets["inspection"].exemplars.values()]
    assert labels == ["ok", "ok", "scratch"]


def test_single_files_are_added_with_a_label(run, fake, folder):
    assert run("add", "inspection", folder / "ok" / "a1.jpg", "--label", "fine")[0] == 0
    assert [e.label for e in fake.sets["inspection"].exemplars.values()] == ["fine"]


def test_files_that_fail_are_named(run, folder):
    (folder / "ok" / "x.jpg").write_bytes(b"bad")
    code, out, err = run("add", "inspection", folder)
    assert code == 1
    assert "ok       2      1" in out
    assert err.startswith(f"{folder / 'ok' / 'x.jpg'}: UNDECODABLE_IMAGE: exemplars[2]")


def test_files_without_labels_are_refused_with_the_way_out(run, folder):
    code, _, err = run("add", "inspection", folder / "ok")
    assert code == 1
    assert "--label names the label" in err


def test_answers_are_printed_as_a_table(run, folder):
    run("add", "inspection", folder)
    code, out, _ = run("classify", "inspection", folder / "scratch")
    assert code == 0
    head, row, note = out.splitlines()
    assert head.split() == ["file", "label", "score", "probability", "nearest", "exemplar"]
    assert row.split()[1:] == ["scratch", "1.000", "100%", "id-00002", "scratch", "1.000"]
    assert note == "calibrated on few exemplars"


def test_images_of_no_label_are_said_to_be_none_of_these(run, folder):
    run("add", "inspection", folder)
    (folder / "stranger.png").write_bytes(b"c1")
    names = (folder / "stranger.png", folder / "ok" / "a1.jpg")
    _, out, _ = run("classify", "inspection", *names, "--false-accept-rate", "0.1")
    stranger, known, *notes = out.splitlines()[1:]
    assert "none of these (" in stranger
    assert "none of these" not in known
    assert (
        notes[0]
        == "about 75% of the images that belong to a label get one; the rest is none of these"
    )
    assert "none of these" not in run("classify", "inspection", *names)[1]


def test_label_sets_are_printed_where_a_coverage_is_asked_for(run, folder):
    run("add", "inspection", folder)
    _, out, _ = run("classify", "inspection", folder / "scratch", "--coverage", "0.9")
    head, row, _ = out.splitlines()
    at = head.index("label set")
    assert row[at:].startswith("scratch, ok  ")


def test_a_long_label_set_is_cut(run, folder, tmp_path):
    for label in "abcdefg":
        (tmp_path / "many" / label).mkdir(parents=True)
        (tmp_path / "many" / label / "1.png").write_bytes(label.encode())
    run("add", "letters", tmp_path / "many")
    _, out, _ = run("classify", "letters", tmp_path / "many" / "a", "--coverage", "0.9")
    assert "and 1 more  " in out.splitlines()[1]  # of the labels of five neighbors


def test_answers_are_printed_as_json_lines(run, folder):
    run("add", "inspection", folder)
    (folder / "ok" / "x.jpg").write_bytes(b"bad")
    code, out, err = run("classify", "inspection", folder / "ok", "--json")
    answers = [json.loads(line) for line in out.splitlines()]
    assert code == 1
    assert [answer["label"] for answer in answers] == ["ok", "ok", ""]
    assert answers[2]["error"]["reason"] == "UNDECODABLE_IMAGE"
    assert "x.jpg" in err


def test_numpy_reads_the_embeddings_written(run, folder, tmp_path):
    out_path = tmp_path / "vectors.npy"
    code, out, _ = run("embed", folder, "--out", out_path)
    vectors = np.load(out_path)
    assert code == 0
    assert (vectors.shape, vectors.dtype) == ((3, 8), np.float32)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, rtol=1e-6)
    assert [line.split("\t")[0] for line in out.splitlines()] == ["0", "1", "2"]


def test_embeddings_are_printed_as_json_lines(run, folder):
    _, out, _ = run("embed", folder / "scratch", "--json")
    assert len(json.loads(out)["values"]) == 8


def test_a_map_is_written_as_a_page(run, folder, tmp_path):
    run("add", "inspection", folder)
    code, out, _ = run("map", "inspection", "--out", tmp_path / "map.html")
    assert code == 0
    assert out == f"{tmp_path / 'map.html'}: 3 points, revision 2\n"
    assert "inspection" in (tmp_path / "map.html").read_text(encoding="utf-8")


def test_images_are_placed_and_classified_on_a_map(run, folder, tmp_path):
    run("add", "inspection", folder)
    queries = tmp_path / "queries"
    queries.mkdir()
    for name in ("a9.jpg", "bad.jpg"):
        (queries / name).write_bytes(name.encode())
    code, _, err = run("map", "inspection", "--out", tmp_path / "map.html", "--place", queries)
    assert (code, err) == (
        1,
        f"{queries / 'bad.jpg'}: UNDECODABLE_IMAGE: queries[1]: not an image\n",
    )
    assert "a9.jpg" in (tmp_path / "map.html").read_text(encoding="utf-8")


def test_a_map_is_written_as_a_picture(run, folder, tmp_path):
    run("add", "inspection", folder)
    code, out, err = run("map", "inspection", "--out", tmp_path / "map.PNG")
    assert (code, err) == (0, "")
    assert out == f"{tmp_path / 'map.PNG'}: 3 points, revision 2\n"
    assert (tmp_path / "map.PNG").read_bytes().startswith(b"\x89PNG")


def test_a_map_is_not_written_as_anything_else(run, folder, tmp_path):
    run("add", "inspection", folder)
    code, out, err = run("map", "inspection", "--out", tmp_path / "map.jpg")
    assert (code, out) == (1, "")
    assert err == f"exemplar: --out: expected FILE.html or FILE.png, got '{tmp_path / 'map.jpg'}'\n"


def test_likely_mislabelled_exemplars_are_marked_on_a_map(run, folder, tmp_path):
    page = tmp_path / "map.html"
    (folder / "ok" / "b9.png").write_bytes(b"b1.webp")  # a scratch
    run("add", "inspection", folder)
    run("map", "inspection", "--out", page)
    assert '"suspects":{}' in page.read_text(encoding="utf-8")
    assert run("map", "inspection", "--out", page, "--suspects")[0] == 0
    assert '"suspects":{"2":"scratch"' in page.read_text(encoding="utf-8")


def test_placed_images_of_no_label_are_marked_where_a_rate_is_asked_for(run, folder, tmp_path):
    page, stranger = tmp_path / "map.html", tmp_path / "stranger.png"
    stranger.write_bytes(b"c1")
    run("add", "inspection", folder)
    place = ("map", "inspection", "--out", page, "--place", stranger)
    run(*place)
    assert ',false]],"starts"' in page.read_text(encoding="utf-8")
    assert run(*place, "--false-accept-rate", "0.1")[0] == 0
    assert ',true]],"starts"' in page.read_text(encoding="utf-8")


def test_a_rate_without_images_to_place_is_refused(run):
    code, out, err = run("map", "inspection", "--false-accept-rate", "0.1")
    assert (code, out) == (1, "")
    assert err == "exemplar: --false-accept-rate: expected with --place, got it alone\n"


def test_support_sets_are_created_listed_shown_and_deleted(run, folder):
    assert run("sets", "create", "inspection")[0] == 0
    run("add", "inspection", folder)
    assert run("sets", "list")[1].splitlines()[1].split() == ["inspection", "3", "2", "fake"]
    assert "scratch  1" in run("sets", "show", "inspection")[1]
    assert run("sets", "delete", "inspection")[1] == "inspection: deleted with 3 exemplars\n"


def test_info_prints_limits_and_backbones(run):
    code, out, _ = run("info")
    assert code == 0
    assert "images_per_request  4" in out
    assert "fake" in out


def test_an_error_is_one_line_without_a_traceback(run):
    code, out, err = run("sets", "show", "nobody")
    assert (code, out) == (1, "")
    assert err == "exemplar: support_set: no 'nobody'\n"


def test_a_missing_path_is_one_line(run):
    code, _, err = run("classify", "inspection", "/no/such/file")
    assert code == 1
    assert err == "exemplar: PATH: expected a file or folder, got '/no/such/file'\n"


def test_a_missing_key_file_is_one_line(run, tmp_path):
    code, _, err = run("--api-key-file", tmp_path / "key", "info")
    assert code == 1
    assert err.count("\n") == 1


def test_the_key_file_is_sent_as_the_credential(run, fake, tmp_path):
    (tmp_path / "key").write_text("secret\n", encoding="utf-8")
    assert run("--api-key-file", tmp_path / "key", "info")[0] == 0
    assert fake.metadata[-1]["authorization"] == "Bearer secret"


def test_interruption_exits_as_shells_expect(monkeypatch):
    class Interrupted(io.StringIO):
        def write(self, text):
            raise KeyboardInterrupt

    with serving(FakeServer()) as target:
        monkeypatch.setattr("sys.stdout", Interrupted())
        assert cli.main(["--server", target, "info"]) == 130
