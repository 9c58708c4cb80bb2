"""What a report is made of: scales, curves, maps, the hardest images, what was seen in training."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tiny_backbone
from exemplar_server.core.artifact import load_artifact
from exemplar_training.data.image_set import ImageSet
from exemplar_training.errors import CheckpointError
from exemplar_training.report import chart, curves, facts, hardest, maps, markup, neighbors, tsne
from report_pages import clouds, findings

numbers = st.floats(-1e6, 1e6).filter(lambda value: value == 0 or abs(value) > 1e-6)


# Markup and charts


def test_text_and_attributes_are_escaped_and_words_keep_their_order():
    made = markup.element("p", {"title": '"<&'}, "a < b", markup.element("br", {}), "& c", " d")
    assert markup.as_html([made]) == '<p title="&quot;<&amp;">a &lt; b<br>&amp; c d</p>'


@pytest.mark.parametrize(
    ("share", "words"), [(0.031, "+3.1"), (-0.5, "\N{MINUS SIGN}50.0"), (-0.0001, "0.0")]
)
def test_points_have_a_sign_unless_they_are_none(share, words):
    assert markup.signed(share) == words


@settings(deadline=None, derandomize=True)
@given(low=numbers, high=numbers)
def test_ticks_hold_what_is_shown_and_are_few(low, high):
    low, high = sorted((low, high))
    found = chart.ticks(low, high)
    reach = found[1] - found[0]
    assert found[0] <= low + 1e-6 * reach
    assert found[-1] >= high - 1e-6 * reach
    assert 2 <= len(found) <= 7


def test_no_two_of_the_ten_series_share_mark_and_color():
    marks = [chart.mark(0, 0, series) for series in range(10)]
    assert len({(mark.get("d"), mark.get("class")) for mark in marks}) == 10


# Curves


def test_a_runs_curves_are_its_log_less_speed_and_what_is_no_number(tmp_path):
    (tmp_path / "metrics.jsonl").write_text(
        '{"step": 1, "loss": 2.0, "epoch": 0, "images_per_second": 9}\n'
        '{"step": 2, "loss": NaN, "entropy": 0.5}\n'
        '{"step": 3, "lo'
    )
    assert curves.read_curves(tmp_path) == {"loss": [(1, 2.0)], "entropy": [(2, 0.5)]}


def test_a_folder_without_a_log_is_named(tmp_path):
    with pytest.raises(CheckpointError, match=r"--run: expected a folder with metrics\.jsonl"):
        curves.read_curves(tmp_path)


def test_a_log_that_is_none_is_refused(tmp_path):
    (tmp_path / "metrics.jsonl").write_text("step,loss\n1,2\n")
    with pytest.raises(CheckpointError, match=r"--run: metrics\.jsonl: expected JSON lines"):
        curves.read_curves(tmp_path)


def test_a_long_curve_becomes_the_means_of_equal_stretches():
    long = [(float(step), float(step % 2)) for step in range(2000)]
    thin = curves.thinned(long)
    assert len(thin) == 200
    assert thin[0] == (4.5, 0.5)
    assert curves.thinned(long[:7]) == long[:7]


def test_what_is_measured_once_an_epoch_has_a_point_an_epoch(tmp_path):
    """Its lines are all of the log's: a value stands in each until the next is measured."""
    told = [(5, 0.25), (10, 0.25), (15, 0.5), (20, 0.5), (25, 0.5)]
    lines = [f'{{"step": {step}, "loss": 1.0, "knn_accuracy": {value}}}' for step, value in told]
    (tmp_path / "metrics.jsonl").write_text("\n".join(lines) + "\n")
    found = curves.read_curves(tmp_path)
    assert found["knn_accuracy"] == [(5, 0.25), (15, 0.5), (25, 0.5)]
    assert len(found["loss"]) == 5


def test_a_curve_is_told_in_words_and_each_point_lies_in_the_chart():
    section = curves.learning_curves("run", {"accuracy": [(0.0, 0.25), (50.0, 0.5), (99.0, 1.0)]})
    assert "accuracy: 25 % at step 0, 100 % at step 99" in "".join(section.itertext())
    (line,) = section.iter("polyline")
    points = [tuple(map(float, point.split(","))) for point in line.get("points").split()]
    width, height = map(float, next(section.iter("svg")).get("viewBox").split()[2:])
    assert all(0 <= x <= width and 0 <= y <= height for x, y in points)
    assert [y for _, y in points] == sorted((y for _, y in points), reverse=True)


# Maps


def many(classes, each):
    class_ids_N = np.repeat(np.arange(classes), each)
    return ImageSet("many", [b""] * len(class_ids_N), class_ids_N, tuple(map(str, range(classes))))


@pytest.mark.parametrize(
    ("classes", "each", "count"), [(3, 10, 30), (4, 600, 1000), (1500, 2, 1000), (30, 50, 990)]
)
def test_a_map_has_at_most_1000_images_and_equally_many_of_each_class(classes, each, count):
    images = many(classes, each)
    rows_M = maps.rows_on_map(images, [classes - 1], seed=0)
    counts = np.bincount(images.class_ids_N[rows_M], minlength=classes)
    assert len(rows_M) == len(set(rows_M.tolist())) == count
    assert len(set(counts[counts > 0])) == 1
    assert counts[-1] > 0  # what is named comes first


def test_groups_far_apart_stay_apart_on_the_map_which_is_the_same_for_the_same_seed():
    class_ids_N = np.arange(60) % 6
    embeddings_ND = clouds(class_ids_N, 0.05)
    points_N2 = tsne.layout(embeddings_ND, 0)
    np.testing.assert_array_equal(points_N2, tsne.layout(embeddings_ND, 0))
    assert tsne.agreement(points_N2, class_ids_N) == 1
    assert tsne.faithfulness(embeddings_ND, points_N2) > 0.9


def test_four_images_have_a_map():
    embeddings_ND = clouds(np.arange(4), 0.1)
    points_N2 = tsne.layout(embeddings_ND, 0)
    assert np.isfinite(points_N2).all()
    assert 0 <= tsne.faithfulness(embeddings_ND, points_N2) <= 1


# Hardest images


def test_the_hardest_images_are_the_surest_mistakes_each_once(tmp_path):
    found = findings(tmp_path, spreads=(0.6, 0.3))
    played, episodes = found.after.main.played, found.main_episodes
    rows_EQ = episodes.query_ELQ.reshape(played.truth_EQ.shape)
    is_wrong_EQ = played.truth_EQ != played.answer_EQ
    shown = hardest.mistakes(found, 5)
    assert [m.score for m in shown] == sorted((m.score for m in shown), reverse=True)
    assert shown[0].score == played.score_EQ[is_wrong_EQ].max()
    assert len({m.row for m in shown}) == 5
    for m in shown:
        assert m.answer != found.images.class_ids_N[m.row]
        assert m.wrong == (is_wrong_EQ & (rows_EQ == m.row)).sum()
        assert m.asked == (rows_EQ == m.row).sum()
        similarity = found.after.embeddings_ND[m.neighbor] @ found.after.embeddings_ND[m.row]
        assert m.similarity == pytest.approx(similarity)


def test_where_all_is_right_no_image_is_hard(tmp_path):
    found = findings(tmp_path, spreads=(0.01, 0.3))
    assert hardest.mistakes(found, 5) == []
    assert "No query was answered wrong." in "".join(hardest.hardest(found).itertext())


# Nearest images


def test_the_nearest_images_are_those_of_highest_similarity_of_other_sources(tmp_path):
    found = findings(tmp_path)
    sources_N = np.arange(48) // 2
    for images in (found.images, replace(found.images, sources_N=sources_N)):
        near = neighbors.nearest(images, found.after.embeddings_ND, 7)
        cosines_N = found.after.embeddings_ND @ found.after.embeddings_ND[7]
        cosines_N[[7] if images.sources_N is None else [6, 7]] = -2
        assert near.neighbors == np.argsort(-cosines_N)[:8].tolist()
        assert near.similarities == pytest.approx(np.sort(cosines_N)[:-9:-1])


def test_the_sheet_tells_whose_label_is_the_same(tmp_path):
    found = findings(tmp_path, spreads=(0.05, 0.6))
    sheet = neighbors.neighbors(found)
    words = "".join(sheet.itertext())
    # Eight images of each of six labels: seven others are alike, the eighth is not.
    assert "Neighbors with the image's label: 84 of 96 by new<i>/1, " in words
    kinds = [each.get("class") for each in sheet.iter("figure")]
    assert [kinds.count(kind) for kind in ("query", "same", "other")] == [12, 84, 12]


# What was seen in training


@pytest.mark.parametrize(
    ("run", "parts", "is_seen"),
    [
        ({}, None, False),
        ({"data.name": "letters", "data.parts": []}, None, False),
        ({"data.name": "cifar10", "data.parts": []}, ["test"], True),
        ({"data.name": "cifar10", "data.parts": ["train"]}, ["test"], False),
        ({"data.name": "cifar10", "data.parts": ["train", "test"]}, ["test"], True),
        ({"data.name": "letters", "target.name": "cifar10"}, None, True),
    ],
)
def test_a_backbone_that_was_trained_on_the_set_is_told(tmp_path, run, parts, is_seen):
    manifest = load_artifact(tiny_backbone.write(tmp_path)).manifest
    made = replace(manifest, provenance={"run": run})
    assert facts.is_trained_on(made, "cifar10", parts) == is_seen
