"""The checker of histories finds what it must: a test by it would be blind otherwise."""

from __future__ import annotations

from dataclasses import replace

import pytest

from call_history import ADD, CREATE, DELETE, LIST, NOBODY_KNOWS, OK, REMOVE, Call, Row
from history_checker import (
    DUPLICATE,
    LOST,
    RESURRECTED,
    UNEXPLAINED,
    WENT_BACK,
    violations,
)

A, B, C = (Row(i, f"label of {i}") for i in "abc")


class Story:
    """Calls one after the other, a second each, unless told otherwise."""

    def __init__(self):
        self.calls = []

    def tells(self, kind, revision=0, *rows, **fields):
        start = float(len(self.calls))
        defaults = {"started": start, "ended": start + 0.5, "outcome": OK} | fields
        call = Call("client", "server", kind, "set", revision=revision, rows=rows, **defaults)
        self.calls.append(call)
        return self

    def kinds(self, **options):
        return {v.kind for v in violations(self.calls, **options)}


@pytest.fixture
def story():
    """Two exemplars, one of them removed: revision 4 has "b" only."""
    story = Story().tells(CREATE, 1).tells(ADD, 2, A).tells(ADD, 3, B)
    return story.tells(REMOVE, 4, Row("a"))


def test_a_true_history_has_no_violation(story):
    story.tells(LIST, 4, B).tells(DELETE, 5, exemplar_count=1).tells(LIST, outcome="NOT_FOUND")
    story.tells(CREATE, 6).tells(LIST, 6).tells(ADD, 7, C, refused=("c",)).tells(LIST, 7, C)
    assert story.kinds() == set()


def test_what_was_acknowledged_and_is_not_seen_is_lost(story):
    assert story.tells(LIST, 4).kinds() == {LOST}


def test_half_of_an_addition_is_lost():
    assert Story().tells(CREATE, 1).tells(ADD, 2, A, B).tells(LIST, 2, A).kinds() == {LOST}


def test_a_change_whose_revision_another_one_has_is_lost(story):
    assert LOST in story.tells(ADD, 4, C).kinds()


def test_a_support_set_that_is_not_found_is_lost(story):
    assert story.tells(LIST, outcome="NOT_FOUND").kinds() == {LOST}


def test_a_removed_exemplar_that_is_seen_is_resurrected(story):
    assert story.tells(LIST, 4, A, B).kinds() == {RESURRECTED}


def test_an_exemplar_of_a_deleted_support_set_that_is_seen_is_resurrected(story):
    story.tells(DELETE, 5).tells(CREATE, 6).tells(LIST, 6, B)
    assert story.kinds() == {RESURRECTED}


def test_an_answer_of_a_deleted_support_set_went_back(story):
    assert story.tells(DELETE, 5).tells(LIST, 4, B).kinds() == {WENT_BACK}


def test_an_answer_below_an_acknowledged_revision_went_back(story):
    assert story.tells(LIST, 3, A, B).kinds() == {WENT_BACK}


def test_answers_of_another_server_may_be_behind_but_not_behind_what_was_asked_for(story):
    story.tells(LIST, 3, A, B)
    assert story.kinds(one_server=False) == set()
    story.calls[-1] = replace(story.calls[-1], min_revision=4)
    assert story.kinds(one_server=False) == {WENT_BACK}


def test_an_exemplar_that_is_seen_twice_is_a_duplicate(story):
    assert story.tells(LIST, 4, B, replace(B, exemplar_id="other")).kinds() == {DUPLICATE}


def test_a_revision_that_is_nobody_s_is_a_duplicate(story):
    assert story.tells(ADD, 6, C).kinds() == {DUPLICATE}


def test_an_exemplar_that_nobody_added_yet_is_unexplained(story):
    assert story.tells(LIST, 4, B, C).kinds() == {UNEXPLAINED}


def test_a_wrong_number_of_exemplars_is_unexplained(story):
    assert story.tells(ADD, 5, C, exemplar_count=3).kinds() == {UNEXPLAINED}


@pytest.mark.parametrize("after", [[LIST, 4, B], [LIST, 5, B, replace(C, revision=5)]])
def test_what_nobody_answered_was_made_or_not(story, after):
    assert story.tells(ADD, 0, C, outcome=NOBODY_KNOWS).tells(*after).kinds() == set()


def test_what_nobody_answered_is_not_forgotten_once_it_was_seen(story):
    seen = replace(C, revision=5)
    story.tells(ADD, 0, C, outcome=NOBODY_KNOWS).tells(LIST, 5, B, seen).tells(LIST, 5, B)
    assert story.kinds() == {LOST}


def test_a_retry_that_finds_nothing_may_have_been_made_before(story):
    story.tells(REMOVE, 0, Row("b"), outcome="NOT_FOUND", tries=2, ended=9.0)
    assert story.tells(DELETE, 6, exemplar_count=0).kinds() == set()
