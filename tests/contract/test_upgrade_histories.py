"""Whatever happens between upgrades, switches and rollbacks, no index ever mixes two spaces."""

from typing import ClassVar

from hypothesis import settings
from hypothesis.stateful import run_state_machine_as_test

from upgrade_machine import UpgradeHistories


def test_no_history_mixes_two_spaces(sql_store):
    class InThisStore(UpgradeHistories):
        stores: ClassVar = [sql_store]

    run_state_machine_as_test(
        InThisStore, settings=settings(deadline=None, max_examples=8, stateful_step_count=40)
    )
