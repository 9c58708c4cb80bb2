"""Advice: which labels need more exemplars, how many, and why."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exemplar_server.core.advice import Advice, Mistaken, advice
from exemplar_server.core.intervals import accuracy


def advised(right, count, overall=0.9, mistaken=None):
    return advice(count, accuracy(right, count), mistaken, overall)


def test_one_exemplar_cannot_be_evaluated():
    found = advice(1, None, None, 0.9)
    assert found == Advice(9, "It has one exemplar, so its recall cannot be told.")


def test_fewer_than_ten_are_too_few_for_ridge():
    found = advised(7, 7)
    assert found == Advice(3, "With 10 exemplars of each label and more, answers get better still.")


def test_a_recall_below_the_sets_accuracy_asks_for_as_many_again_and_names_the_other_label():
    found = advised(10, 40, mistaken=Mistaken("cat", 20))
    assert found.exemplars_needed == 40
    assert found.words == (
        "Only 25 % of its exemplars are answered right, 90 % of all are. 20 are taken for 'cat': "
        "add exemplars of both that show the difference."
    )


def test_a_single_mistake_names_no_other_label():
    assert "cat" not in advised(10, 40, mistaken=Mistaken("cat", 1)).words


def test_a_recall_that_so_few_exemplars_leave_open_asks_for_what_would_tell_it():
    found = advised(9, 12)
    assert found.exemplars_needed == 7  # 19 of them tell 75 % to within 20 points
    assert found.words == (
        "So few exemplars leave it open whether 47 % or 91 % of its images are answered right."
    )


@pytest.mark.parametrize("count", [10, 20, 1000])
def test_a_label_that_is_told_well_needs_none(count):
    assert advised(count, count) == Advice(0, "")


def test_few_exemplars_that_are_answered_wrong_have_both_reasons():
    found = advised(0, 8)
    assert found.exemplars_needed == 8
    assert found.words.startswith(
        "With 10 exemplars of each label and more, answers get better still. Only 0 %"
    )


@given(st.integers(1, 200), st.data(), st.floats(0, 1))
def test_words_come_with_every_number_and_only_with_one(count, data, overall):
    recall = accuracy(data.draw(st.integers(0, count)), count) if count > 1 else None
    found = advice(count, recall, Mistaken("cat", 1), overall)
    assert bool(found.words) == (found.exemplars_needed > 0)
    assert found.exemplars_needed <= max(24, count)


@given(st.integers(30, 200))
def test_what_is_advised_is_enough_where_the_recall_stays(overall):
    needed = advised(6, 12).exemplars_needed
    more = 12 + needed
    assert advised(more // 2, more, overall=overall / 1000).exemplars_needed <= 1
