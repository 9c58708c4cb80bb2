"""The page of a report: whole, escaped, of itself alone, and true to what was measured."""

from dataclasses import replace

import numpy as np
import pytest

from exemplar_training.evaluation.metrics import confusion
from exemplar_training.report import accuracy, labels
from exemplar_training.report.page import render
from report_pages import HOSTILE, Page, findings

CURVES = {"loss": [(1.0, 2.5), (10.0, 0.5)], "<b>": [(1.0, 0.0), (10.0, 0.0)]}


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    return findings(tmp_path_factory.mktemp("images"))


@pytest.fixture(scope="module")
def written(found):
    return render(found, "run</h2>", CURVES)


@pytest.fixture(scope="module")
def page(written):
    return Page(written)


def test_names_from_the_data_are_words_and_never_tags(page):
    assert page.tags["script"] == page.tags["b"] == page.tags["i"] == []
    for name in (*HOSTILE, "new<i>/1", "run</h2>"):
        assert name.encode("utf-8", "replace").decode() in page.words


def test_the_page_asks_no_network_and_names_no_path(found, written):
    text = written.decode()
    assert "default-src 'none'" in text
    for word in ("http:", "https:", "url(", "@import", found.drawn.trial.data):
        assert word not in text


def test_all_that_is_seen_is_told_in_words_too(page):
    assert all(image["alt"] for image in page.tags["img"])
    assert all(image["src"].startswith("data:image/jpeg;base64,") for image in page.tags["img"])
    assert all("aria-label" in chart or "aria-hidden" in chart for chart in page.tags["svg"])
    assert len(page.tables) == len(page.tags["table"])  # each has a caption of its own
    assert "" not in page.tables


def test_equal_findings_make_equal_pages(found, written):
    assert render(found, "run</h2>", CURVES) == written


@pytest.mark.parametrize("n_shot", [1, 2])
def test_the_accuracies_in_the_page_are_the_outcomes(found, page, n_shot):
    rows = {row[0]: row[1:] for row in page.table(f"{n_shot}-shot")}
    for subject in found.subjects:
        for head in found.heads:
            o = subject.at(head, n_shot)
            right, ranked, gap = rows[o.name]
            assert right == f"{100 * o.accuracy.mean:.1f} \xb1 {100 * o.accuracy.half:.1f}"
            assert ranked == f"{o.auroc.mean:.3f} \xb1 {o.auroc.half:.3f}"
            assert gap == f"{o.calibration_error:.2f}"


def test_the_differences_in_the_page_are_paired(found, page):
    gap = found.after.at("1-NN", 2).minus(found.before.at("1-NN", 2))
    cell = {row[0]: row for row in page.table("new<i>/1 minus old/1")}["1-NN"][2]
    ends = [f"{100 * (gap.mean + sign * gap.half):+.1f}" for sign in (-1, 1)]
    assert cell == f"{100 * gap.mean:+.1f} ({ends[0]} to {ends[1]})".replace("-", "\N{MINUS SIGN}")


def test_the_recalls_in_the_page_are_the_outcomes_lowest_first(found, page):
    _, *rows = page.table("Recall")
    told = {name.encode("utf-8", "replace").decode(): name for name in HOSTILE}
    for name, _, before, after, _ in rows:
        assert after == f"{100 * found.after.main.recalls[told[name]]:.1f}"
        assert before == f"{100 * found.before.main.recalls[told[name]]:.1f}"
    shares = [float(row[3]) for row in rows]
    assert shares == sorted(shares)


def test_a_row_of_the_confusion_is_where_a_labels_queries_went(found, page):
    played = found.before.main.played
    counts_CC = confusion(played.truth_EQ.ravel(), played.answer_EQ.ravel(), 6)
    _, *rows = page.table("old/1: percent")
    for counts_C, (_, *cells) in zip(counts_CC, rows, strict=True):
        for share, cell in zip(counts_C / counts_C.sum(), cells, strict=True):
            expected = "\xb7" if share == 0 else f"{100 * share:.0f}"
            assert cell == ("<1" if 0 < share < 0.005 else expected)


def test_of_many_labels_the_most_confused_are_shown(found, monkeypatch):
    monkeypatch.setattr(labels, "MOST_CONFUSED", 3)
    shown = labels.shown_class_ids(found)
    counts_CC = sum(
        confusion(s.main.played.truth_EQ.ravel(), s.main.played.answer_EQ.ravel(), 6)
        for s in found.subjects
    )
    np.fill_diagonal(counts_CC, 0)
    assert set(np.unravel_index(counts_CC.argmax(), (6, 6))) <= set(shown)
    assert len(shown) == 3
    _, *rows = Page(render(found, "", {})).table("old/1: percent")
    assert [len(row) for row in rows] == [5, 5, 5]  # a label, three answers and the others


@pytest.mark.parametrize(
    ("spreads", "judged"),
    [
        ((0.1, 0.8), "Better."),
        ((0.8, 0.1), "Worse."),
        ((0.1, 0.1), "No difference is shown."),
    ],
)
def test_the_verdict_says_what_the_interval_allows(tmp_path, spreads, judged):
    found = findings(tmp_path, spreads=spreads)
    said = "".join(accuracy.verdict(found).itertext())
    gap = found.after.main.minus(found.before.main)
    assert said.startswith(judged)
    assert f"{100 * abs(gap.mean):.1f} points" in said
    assert "3-way 2-shot, 5-NN" in said


def test_a_backbone_that_gives_one_embedding_for_all_images_has_no_map(found):
    dead = replace(found.after, embeddings_ND=np.ones_like(found.after.embeddings_ND))
    page = Page(render(replace(found, subjects=[dead, found.before]), "", {}))
    assert "No map: it gives all images the same embedding." in page.words
