"""Readers beside a writer and a merger: no crash, and no answer of another revision."""

from snapshot_races import Race


def test_every_answer_is_that_of_its_revision_beside_changes_and_merges():
    outcome = Race(seconds=3).run()
    assert outcome.wrong == 0
    assert min(outcome.answers, outcome.changes, outcome.merges) > 0
