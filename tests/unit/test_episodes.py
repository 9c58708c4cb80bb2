"""Episodes: what is drawn, what is refused, and that nothing leaks from support to queries."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exemplar_training.data.image_set import ImageSet
from exemplar_training.errors import EvaluationError
from exemplar_training.evaluation.episodes import Episodes, EpisodeSpec, sample
from exemplar_training.evaluation.leaks import refuse_overlap, without_copies

SPEC = EpisodeSpec(n_way=3, n_shot=2, n_query=4, episodes=20, seed=5)


def image_set(class_ids, sources=None, files=None, names="abcdefghij"):
    class_ids_N = np.array(class_ids, np.int64)
    sources_N = None if sources is None else np.array(sources, np.int64)
    contents = [b"%d" % row for row in range(len(class_ids))] if files is None else files
    return ImageSet("drawn", contents, class_ids_N, tuple(names), sources_N)


def grid(classes=8, sources=6, each=3):
    """Every class drawn by every source, `each` times."""
    pairs = [(c, s) for c in range(classes) for s in range(sources) for _ in range(each)]
    return image_set([c for c, _ in pairs], [s * 7 + 100 for _, s in pairs])


def plain(classes=8, each=18):
    return image_set(np.repeat(np.arange(classes), each))


specs = st.builds(
    EpisodeSpec,
    n_way=st.integers(2, 4),
    n_shot=st.integers(1, 6),
    n_query=st.integers(1, 6),
    episodes=st.just(3),
    seed=st.integers(0, 2**32),
)
images = st.sampled_from([grid(), plain()])


@settings(max_examples=50, deadline=None)
@given(images=images, spec=specs)
def test_every_drawn_image_is_of_its_class_and_drawn_once(images, spec):
    drawn = sample(images, spec)
    assert drawn.support_ELS.shape == (3, spec.n_way, spec.n_shot)
    assert drawn.query_ELQ.shape == (3, spec.n_way, spec.n_query)
    for rows in (drawn.support_ELS, drawn.query_ELQ):
        expected = np.broadcast_to(drawn.class_ids_EL[:, :, None], rows.shape)
        np.testing.assert_array_equal(images.class_ids_N[rows], expected)
    for episode in zip(drawn.support_ELS, drawn.query_ELQ, drawn.unknown_EM, strict=True):
        rows = np.concatenate([part.ravel() for part in episode])
        assert len(set(rows.tolist())) == len(rows)


@settings(max_examples=50, deadline=None)
@given(spec=specs)
def test_support_and_queries_never_share_a_source(spec):
    images = grid()
    drawn = sample(images, spec)
    for support, query, unknown in zip(
        drawn.support_ELS, drawn.query_ELQ, drawn.unknown_EM, strict=True
    ):
        taught = set(images.sources_N[support].ravel().tolist())
        asked = np.concatenate([query.ravel(), unknown])
        assert not taught & set(images.sources_N[asked].tolist())


@settings(max_examples=50, deadline=None)
@given(images=images, spec=specs)
def test_unknown_queries_are_of_n_way_other_classes(images, spec):
    drawn = sample(images, spec)
    assert drawn.unknown_EM.shape == (3, spec.n_way * spec.n_query)
    for known_L, unknown_M in zip(drawn.class_ids_EL, drawn.unknown_EM, strict=True):
        classes = set(images.class_ids_N[unknown_M].tolist())
        assert len(classes) == spec.n_way
        assert not classes & set(known_L.tolist())


def test_there_are_no_unknown_queries_with_fewer_than_twice_n_way_classes():
    assert sample(plain(classes=5), SPEC).unknown_EM.shape == (SPEC.episodes, 0)


@given(images=images)
def test_a_seed_gives_the_same_episodes_and_more_of_them_begin_alike(images):
    first, again = sample(images, SPEC), sample(images, SPEC)
    more = sample(images, replace(SPEC, episodes=25))
    for field in ("class_ids_EL", "support_ELS", "query_ELQ", "unknown_EM"):
        np.testing.assert_array_equal(getattr(first, field), getattr(again, field))
        np.testing.assert_array_equal(getattr(first, field), getattr(more, field)[:20])


def test_another_seed_gives_other_episodes():
    other = sample(plain(), replace(SPEC, seed=6))
    assert (sample(plain(), SPEC).support_ELS != other.support_ELS).any()


def test_every_class_and_image_has_its_turn():
    images = plain()
    drawn = sample(images, replace(SPEC, episodes=300))
    assert set(drawn.class_ids_EL.ravel().tolist()) == set(range(8))
    assert set(drawn.support_ELS.ravel().tolist()) == set(range(len(images)))
    assert set(drawn.query_ELQ.ravel().tolist()) == set(range(len(images)))


def test_two_sources_that_every_class_has_are_enough():
    images = grid(sources=2, each=4)
    drawn = sample(images, SPEC)
    for support in drawn.support_ELS:
        assert len(set(images.sources_N[support].ravel().tolist())) == 1


def test_two_sources_of_its_own_for_each_of_many_classes_are_enough():
    class_ids = np.repeat(np.arange(10), 8)
    images = image_set(class_ids, class_ids * 2 + np.tile([0, 0, 0, 0, 1, 1, 1, 1], 10))
    assert len(sample(images, replace(SPEC, n_way=10))) == SPEC.episodes


@pytest.mark.parametrize("field", ["n_way", "n_shot", "n_query", "episodes", "seed"])
def test_a_spec_out_of_range_names_the_field_and_the_value(field):
    with pytest.raises(EvaluationError, match=rf"{field}: expected \d and more, got -1"):
        replace(SPEC, **{field: -1})


def test_too_few_classes_are_refused():
    with pytest.raises(EvaluationError, match=r"at least 3 classes \(n_way\), got 2"):
        sample(plain(classes=2), SPEC)


def test_a_class_with_too_few_images_is_refused_with_its_name_count_and_need():
    images = image_set([0] * 9 + [1] * 5 + [2] * 9)
    with pytest.raises(EvaluationError, match=r"class 'b': expected at least 6 images .*, got 5"):
        sample(images, SPEC)


def test_a_class_of_a_single_source_is_refused():
    images = image_set([0] * 9 + [1] * 9 + [2] * 9, [*range(9), *[4] * 9, *range(9)])
    with pytest.raises(EvaluationError, match=r"class 'b': expected at least 2 sources.*, got 1"):
        sample(images, SPEC)


def test_a_class_whose_sources_cannot_be_parted_is_refused():
    images = image_set([0] * 9 + [1] * 9 + [2] * 9, [*range(9), *[4, *[5] * 8], *range(9)])
    message = r"class 'b': expected 2 images .* 4 for queries .*, got 9 images in 2 sources"
    with pytest.raises(EvaluationError, match=message):
        sample(images, replace(SPEC, n_shot=2))


def episode_of(support, query, unknown, sources=None):
    as_rows = [np.array([part], np.int64) for part in (support, query, unknown)]
    sources_N = None if sources is None else np.array(sources)
    return Episodes(np.array([[0, 1]]), *as_rows, sources_N)


@pytest.mark.parametrize(("query", "unknown"), [([[4], [1]], [5]), ([[4], [6]], [1])])
def test_an_episode_whose_support_and_query_share_an_image_is_refused(query, unknown):
    with pytest.raises(EvaluationError, match=r"episode 0: expected no image in .*, got image 1"):
        episode_of([[0], [1]], query, unknown)


@pytest.mark.parametrize("sources", [[7, 8, 9, 8, 1], [7, 8, 9, 2, 7]])
def test_an_episode_whose_support_and_query_share_a_source_is_refused(sources):
    with pytest.raises(EvaluationError, match=r"episode 0: expected no source in .*, got [78]"):
        episode_of([[0], [1]], [[2], [3]], [4], sources)


def test_copies_of_an_image_are_left_out_but_the_first():
    images = image_set([0, 0, 1, 1], [3, 4, 5, 6], [b"x", b"y", b"x", b"z"])
    kept = without_copies(images, need=1)
    assert list(kept.files) == [b"x", b"y", b"z"]
    assert kept.class_ids_N.tolist() == [0, 0, 1]
    assert kept.sources_N.tolist() == [3, 4, 6]


def test_a_class_that_copies_leave_too_small_goes_and_one_that_always_was_stays():
    images = image_set([0, 0, 1, 1, 2], files=[b"x", b"y", b"x", b"z", b"w"])
    assert without_copies(images, need=2).class_ids_N.tolist() == [0, 0, 2]


def test_base_and_novel_classes_of_one_set_do_not_overlap():
    refuse_overlap(plain().of_classes([0, 1, 2]), plain().of_classes([3, 4]))


@pytest.mark.parametrize(
    ("novel", "message"),
    [
        (image_set([1, 3], [8, 9], [b"p", b"q"]), "class, got 1, such as b"),
        (image_set([2, 3], [5, 9], [b"p", b"q"]), "source, got 1, such as 5"),
        (image_set([2, 3], [8, 9], [b"p", b"1"]), r"file \(sha256\), got 1"),
    ],
)
def test_novel_images_that_training_has_seen_are_refused(novel, message):
    base = image_set([0, 1], [4, 5])
    with pytest.raises(EvaluationError, match=f"base and novel: expected no common {message}"):
        refuse_overlap(base, novel)
