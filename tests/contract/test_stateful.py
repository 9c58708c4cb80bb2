"""Any history of calls comes to what dictionaries and brute force say, on both databases.

Two services, as a server and its replica, over the store itself and FAISS. `make torture` runs
more of it, and longer.
"""

from __future__ import annotations

import pytest
from hypothesis import settings
from hypothesis.stateful import run_state_machine_as_test

from exemplar_server.core import merging, snapshot
from stateful_machine import Histories
from stateful_world import World

EXAMPLES, STEPS = 30, 50
FEW_ROWS = 8  # in a tail, so that there are segments and merges


@pytest.fixture(params=["sqlite", "postgresql"])
def world(request, tmp_path, monkeypatch):
    for module in (snapshot, merging):
        monkeypatch.setattr(module, "TAIL_ROWS", FEW_ROWS)
    is_sqlite = request.param == "sqlite"
    url = f"sqlite:///{tmp_path}/store.db" if is_sqlite else request.getfixturevalue("postgres_url")
    made = World(url)
    yield made
    made.end()


def test_any_history_comes_to_what_the_model_says(world):
    class OfThisWorld(Histories):
        pass

    OfThisWorld.world = world
    run_state_machine_as_test(
        OfThisWorld,
        settings=settings(deadline=None, max_examples=EXAMPLES, stateful_step_count=STEPS),
    )
