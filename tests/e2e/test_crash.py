"""kill -9 loses nothing that was acknowledged, tears nothing apart and applies nothing twice."""

from __future__ import annotations

from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import pytest

from call_history import LIST
from history_checker import DUPLICATE, LOST, RESURRECTED, UNEXPLAINED, WENT_BACK, violations
from kill_loop import Plan, run
from postgres_server import why_there_is_none

PLAN = Plan(kills=20, most_acknowledged=40, seed=7)
MOST_READY_SECONDS = 5.0
REFUSALS = {"NOT_FOUND", "ALREADY_EXISTS", "FAILED_PRECONDITION"}


@pytest.fixture(scope="module")
def runs(request, backbone_dir, tmp_path_factory):
    """Both at once: what takes the time is a server's start on one core."""
    urls = {"sqlite": f"sqlite:///{tmp_path_factory.mktemp('crash')}/store.db"}
    if not why_there_is_none():
        urls["postgresql"] = request.getfixturevalue("postgres").create("killed")
    with ThreadPoolExecutor() as threads:
        yield {d: threads.submit(run, backbone_dir, url, PLAN) for d, url in urls.items()}


@pytest.fixture(params=["sqlite", "postgresql"], scope="module")
def killed(request, runs):
    if request.param == "postgresql":
        request.getfixturevalue("postgres")  # says so where there is none
    return runs[request.param].result()


@pytest.fixture(scope="module")
def found(killed):
    return violations(killed.history.calls)


@pytest.mark.parametrize("kind", [LOST, RESURRECTED, DUPLICATE, WENT_BACK, UNEXPLAINED])
def test_nothing_is(found, kind):
    assert [v for v in found if v.kind == kind] == []


def test_the_kills_come_while_changes_are_in_flight(killed):
    retried = Counter(c.server for c in killed.history.calls if c.tries > 1)
    assert len(retried) > PLAN.kills / 2


def test_changes_in_flight_were_made_sometimes_and_sometimes_not(killed):
    """Else the kills came at one moment only: the same lists would be there without them."""
    interrupted = [c for c in killed.history.calls if c.tries > 1 and c.is_acknowledged_write]
    looks = [c for c in killed.history.calls if c.client == "auditor" and c.kind == LIST]
    at = {(c.server, c.name): c.revision for c in looks}
    made = {call.revision <= at[call.server, call.name] for call in interrupted}
    assert made == {True, False}


def test_nothing_is_refused_for_the_server_s_fault(killed):
    outcomes = {c.outcome for c in killed.history.calls if c.tries == 1 or c.is_change}
    assert outcomes - {"OK", ""} <= REFUSALS


def test_the_server_is_ready_again_soon(killed):
    """In its own time, which a busy machine changes little; `make torture` looks at the clock."""
    assert max(killed.ready_cpu_seconds) < MOST_READY_SECONDS


def test_answers_are_what_they_were_before(killed):
    first, *later = killed.steady_answers
    for answers in later:
        for now, before in zip(answers, first, strict=True):
            assert now.label == before.label
            assert neighbors(now) == neighbors(before)
            assert similarities(now) == pytest.approx(similarities(before), abs=1e-5)


def neighbors(answer):
    return [(n.exemplar_id, n.label) for n in answer.neighbors]


def similarities(answer):
    return [n.similarity for n in answer.neighbors]
