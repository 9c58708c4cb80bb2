"""Waiting for an upgrade: asked again and again until it goes on no more."""

import pytest

from exemplar import DeadlineExceededError, upgrades
from exemplar.calls import Call, Pause
from exemplar.memory import Memory
from exemplar.v1 import upgrade_pb2 as pb

RUNNING, SWITCHED = pb.UPGRADE_STATE_RUNNING, pb.UPGRADE_STATE_SWITCHED


def told(state, embedded_count, **fields):
    return pb.Upgrade(
        support_set="set", state=state, exemplar_count=9, embedded_count=embedded_count, **fields
    )


def performed(plan, answers):
    """What the plan comes to where the server answers these in turn, and what it paused."""
    left, pauses = iter(answers), []
    try:
        while True:
            step = next(plan)
            if isinstance(step, Call):
                step.take(pb.GetUpgradeResponse(upgrade=next(left)))
            else:
                assert isinstance(step, Pause)
                pauses.append(step.seconds)
    except StopIteration as end:
        return end.value, pauses


def waiting(memory=None, on_progress=None, timeout_seconds=60.0):
    return upgrades.wait_for_upgrade(memory or Memory(), "set", on_progress, timeout_seconds)


def test_it_pauses_while_it_is_under_way_and_returns_what_it_came_to():
    answers = [told(RUNNING, 1), told(pb.UPGRADE_STATE_ROLLING_BACK, 5), told(SWITCHED, 9)]
    upgrade, pauses = performed(waiting(), answers)
    assert (upgrade.state, upgrade.is_under_way, len(pauses)) == ("SWITCHED", False, 2)


def test_each_look_is_progress():
    seen = []
    performed(waiting(on_progress=seen.append), [told(RUNNING, n) for n in (1, 5)] + [told(0, 9)])
    assert [upgrade.embedded_count for upgrade in seen] == [1, 5, 9]


def test_after_the_time_it_says_how_far_the_upgrade_is():
    with pytest.raises(DeadlineExceededError, match="goes on: 5 of 9 exemplars are embedded"):
        performed(waiting(timeout_seconds=0.1), [told(RUNNING, 5)])


def test_what_follows_is_of_the_revision_that_the_switch_made():
    memory = Memory()
    performed(waiting(memory), [told(SWITCHED, 9, revision=7)])
    assert memory.wanted_revision("set", None) == 7


def test_what_was_not_measured_and_has_not_begun_is_none():
    upgrade, _ = performed(waiting(), [told(0, 0)])
    assert (upgrade.state, upgrade.gate, upgrade.created) == ("UNSPECIFIED", None, None)
    gate = pb.Gate(old_accuracy=0.5, new_accuracy=0.75, exemplar_count=8)
    upgrade, _ = performed(waiting(), [told(SWITCHED, 9, gate=gate)])
    assert upgrade.gate == upgrades.Gate(0.5, 0.75, 8)
