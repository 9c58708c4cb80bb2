"""The stores that keep the contract of core.ports.Store: the real one and the fake."""

import pytest

from exemplar_server.backends.sql_store import SqlStore
from fakes import FakeStore
from store_calls import Calls


@pytest.fixture(params=["sql", "fake"])
def store(request, tmp_path):
    if request.param == "fake":
        yield FakeStore()
        return
    opened = SqlStore(f"sqlite:///{tmp_path}/store.db")
    yield opened
    opened.close()


@pytest.fixture
def calls(store):
    return Calls(store)
