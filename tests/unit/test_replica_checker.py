"""The checker of replicas finds what it must: a test by it would be blind otherwise."""

from __future__ import annotations

import pytest

from call_history import ADD, CLASSIFY, CREATE, DELETE, LIST, OK, REMOVE, Call, Row
from history_checker import LOST, WENT_BACK
from replica_checker import BROKEN, HEALTHY, HINTLESS, Lag, lags, replica_violations
from replica_clients import NOT_REACHED
from replica_faults import CUT, KILL, Fault

A, B = (Row(i, f"label of {i}") for i in "ab")


class Story:
    """Calls one after the other, a second each: of client "c" at server "one" unless told."""

    def __init__(self):
        self.calls = []

    def tells(self, kind, revision=0, *rows, **fields):
        start = float(len(self.calls))
        defaults = {"client": "c", "server": "one", "name": "set", "outcome": OK}
        times = {"started": start, "ended": start + 0.5}
        self.calls.append(
            Call(kind=kind, revision=revision, rows=rows, **defaults | times | fields)
        )
        return self

    def found(self):
        return {(v.kind, v.what.split(":")[0]) for v in replica_violations(self.calls)}


@pytest.fixture
def story():
    """Two additions through server "one": revision 3 has both."""
    return Story().tells(CREATE, 1).tells(ADD, 2, A).tells(ADD, 3, B)


def test_another_replica_may_be_behind_for_who_asks_without_a_token(story):
    story.tells(CLASSIFY, 2, A, server="other").tells(CLASSIFY, 3, A, B, server="other")
    assert story.found() == set()


def test_an_answer_below_its_token_went_back(story):
    story.tells(CLASSIFY, 2, A, server="other", client="d", min_revision=3)
    assert {kind for kind, _ in story.found()} == {WENT_BACK}


def test_an_answer_below_what_its_client_was_told_before_went_back(story):
    """Whatever the token was that the client sent."""
    story.tells(CLASSIFY, 2, A, server="other", min_revision=2)
    assert (WENT_BACK, "the client's token") in story.found()


def test_by_the_token_of_a_deletion_nothing_is_shown_of_what_was_deleted(story):
    story.tells(DELETE, 3, exemplar_count=2).tells(
        CLASSIFY, 3, A, B, server="other", min_revision=3
    )
    assert (WENT_BACK, "the client's token") in story.found()


def test_a_replica_shows_everyone_what_it_acknowledged(story):
    story.tells(CLASSIFY, 2, A, client="d")
    assert story.found() == {(WENT_BACK, "what this replica acknowledged")}


def test_a_replica_never_shows_a_client_less_than_before(story):
    story.tells(CLASSIFY, 3, A, B, server="other").tells(CLASSIFY, 2, A, server="other")
    assert story.found() == {(WENT_BACK, "what this replica told this client")}


def test_a_list_is_the_store_s_and_says_nothing_of_the_replica_s_snapshot(story):
    story.tells(LIST, 3, A, B, server="other").tells(CLASSIFY, 2, A, server="other")
    assert story.found() == set()


def test_a_part_of_a_batch_is_lost():
    story = Story().tells(CREATE, 1).tells(ADD, 2, A, B).tells(CLASSIFY, 2, A, server="other")
    assert {kind for kind, _ in story.found()} == {LOST}


def test_what_is_surely_there_is_found_by_every_replica(story):
    story.tells(CLASSIFY, outcome="NOT_FOUND", server="other")
    assert {kind for kind, _ in story.found()} == {LOST}


def test_a_revision_that_was_acknowledged_is_reached(story):
    story.tells(CLASSIFY, outcome=NOT_REACHED, server="other", min_revision=3)
    assert story.found() == {(LOST, "never reached")}


def test_staleness_lasts_to_the_last_read_elsewhere_that_does_not_show_the_addition(story):
    story.tells(CLASSIFY, 2, A, server="other").tells(CLASSIFY, 3, A, B, server="other")
    assert lags(story.calls, [])[HEALTHY] == [Lag(0.5, 1.5)]  # added at 2.5, asked at 3 and 4


def test_what_the_first_read_elsewhere_shows_was_never_stale(story):
    story.tells(CLASSIFY, 3, A, B, server="other")
    assert lags(story.calls, [])[HEALTHY] == [Lag(0, 0.5)]


def test_what_is_read_at_the_same_replica_or_with_a_token_says_nothing_of_staleness(story):
    story.tells(CLASSIFY, 3, A, B).tells(ADD, 4, Row("c", "label of c"))
    story.tells(CLASSIFY, 4, server="other", min_revision=4)
    assert lags(story.calls, [])[HEALTHY] == []


@pytest.mark.parametrize(
    ("faults", "circumstances"),
    [
        ([], HEALTHY),
        ([Fault(KILL, 0, 0.2)], HEALTHY),  # over and settled
        ([Fault(CUT, 2.6, 2.7)], HINTLESS),
        ([Fault(CUT, 2.6, 2.7), Fault(KILL, 2.8, 9)], BROKEN),
    ],
)
def test_staleness_is_told_by_what_went_on_meanwhile(story, faults, circumstances):
    story.tells(CLASSIFY, 3, A, B, server="other")
    assert [kind for kind, found in lags(story.calls, faults).items() if found] == [circumstances]


def test_an_addition_that_is_never_seen_is_as_stale_as_its_reader_was_patient(story):
    for _ in range(6):
        story.tells(CLASSIFY, 2, A, server="other")
    assert lags(story.calls, [])[HEALTHY] == [Lag(5.5, 5.5)]


def test_a_true_history_of_several_replicas_has_no_violation(story):
    story.tells(REMOVE, 4, Row("a"), server="other").tells(LIST, 4, B, min_revision=4)
    story.tells(DELETE, 5, exemplar_count=1, server="other")
    story.tells(CLASSIFY, outcome="NOT_FOUND", min_revision=5)
    story.tells(CREATE, 6).tells(LIST, 6, server="other", min_revision=6)
    assert story.found() == set()
