"""The stores that keep the contract of core.ports.Store: each dialect of SQL, and the fake."""

import pytest

from exemplar_server.backends.sql_store import SqlStore
from fakes import FakeStore
from store_calls import Calls

DIALECTS = ["sqlite", "postgresql"]


@pytest.fixture(params=DIALECTS)
def url(request, tmp_path):
    """Where a store may be that nobody has used."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/store.db"
    return request.getfixturevalue("postgres_url")


@pytest.fixture
def sql_store(url):
    opened = SqlStore(url)
    yield opened
    opened.close()


@pytest.fixture(params=[*DIALECTS, "fake"])
def store(request, tmp_path):
    if request.param == "fake":
        yield FakeStore()
        return
    is_sqlite = request.param == "sqlite"
    url = f"sqlite:///{tmp_path}/store.db" if is_sqlite else request.getfixturevalue("postgres_url")
    opened = SqlStore(url)
    yield opened
    opened.close()


@pytest.fixture
def calls(store):
    return Calls(store)
