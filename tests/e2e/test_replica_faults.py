"""Replicas that are killed, stopped and cut off lose nothing, and answer by the token or not."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from statistics import median

import pytest

from history_checker import DUPLICATE, LOST, RESURRECTED, UNEXPLAINED, WENT_BACK
from postgres_server import postgres_server
from replica_checker import HEALTHY, HINTLESS, lags, replica_violations
from replica_clients import CHASE_SECONDS
from replica_control import control
from replica_faults import CLOCK, KINDS, Pace
from replica_run import Plan, run
from replicas import faketime

PACE = Pace(between=(0.2, 0.6), pause=(0.5, 1.0), deaf=(1.5, 2.0))
PLAN = Plan(seconds=60, seed=7, pace=PACE, rounds=1)
REFUSALS = {"NOT_FOUND", "FAILED_PRECONDITION"}  # what is not there, and what is empty


@pytest.fixture(scope="module")
def runs(backbone_dir, postgres):
    """Both at once; the first one has a PostgreSQL of its own, which does not stay up."""
    with postgres_server() as falling, ThreadPoolExecutor() as threads:
        good = threads.submit(run, backbone_dir, falling, PLAN)
        broken = threads.submit(control, backbone_dir, postgres)
        yield good.result(), broken.result()


@pytest.fixture(scope="module")
def done(runs):
    return runs[0]


@pytest.fixture(scope="module")
def found(done):
    return replica_violations(done.history.calls)


@pytest.mark.parametrize("kind", [LOST, RESURRECTED, DUPLICATE, WENT_BACK, UNEXPLAINED])
def test_nothing_is(found, kind):
    assert [v for v in found if v.kind == kind] == []


def test_everything_went_wrong_once(done):
    left_out = set() if faketime() or "CI" in os.environ else {CLOCK}
    assert {fault.kind for fault in done.faults} == {*KINDS} - left_out


def test_changes_are_interrupted_and_reads_have_tokens_or_none(done):
    calls = done.history.calls
    assert any(call.tries > 1 for call in calls)
    assert {c.min_revision > 0 for c in calls if not c.is_change} == {True, False}


def test_nothing_is_refused_for_the_servers_fault(done):
    assert {c.outcome for c in done.history.calls} - {"OK", ""} <= REFUSALS


def test_a_change_is_soon_seen_everywhere(done):
    """Half of the times: this machine may be busy. `make torture` holds 99 of 100 against it."""
    found = lags(done.history.calls, done.faults)
    assert median([lag.seen for lag in found[HEALTHY]] or [0]) < 0.2
    assert median([lag.seen for lag in found[HINTLESS]] or [0]) < 2


def test_a_server_that_does_not_do_its_part_is_found(runs):
    told = {v.what.split(":")[0] for v in replica_violations(runs[1]) if v.kind == WENT_BACK}
    assert "the client's token" in told
    assert max(lag.unseen for lag in lags(runs[1], [])[HEALTHY]) > CHASE_SECONDS - 1
