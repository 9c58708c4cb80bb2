"""What the store promises when a connection, a replica or the whole PostgreSQL goes away."""

import asyncio
import threading

import pytest
from sqlalchemy import event, text

from exemplar_server.backends.sql_store import SqlStore
from exemplar_server.errors import StoreUnavailableError, StoreUnreachableError
from fakes import retried
from store_calls import Calls

DIES_IN_COMMIT = """
CREATE FUNCTION die() RETURNS trigger LANGUAGE plpgsql AS
  'BEGIN PERFORM pg_terminate_backend(pg_backend_pid()); PERFORM pg_sleep(60); END';
CREATE CONSTRAINT TRIGGER dies AFTER INSERT ON exemplar
  DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION die();
"""


@pytest.fixture
def calls(postgres_url):
    store = SqlStore(postgres_url)
    yield Calls(store)
    store.close()


def administer(postgres, sql):
    with postgres.connect("used_by_all") as connection:
        connection.execute(sql)


async def test_a_change_that_lost_its_connection_before_the_commit_is_made_once(calls):
    tries = []

    def run(connection):
        tries.append(1)
        connection.execute(text("CREATE TABLE made AS SELECT 1"))
        if len(tries) == 1:
            connection.execute(text("SELECT pg_terminate_backend(pg_backend_pid())"))
        return "made"

    assert await calls.store.write(run) == "made"
    assert len(tries) == 2


async def test_a_replica_that_stands_still_holds_up_no_other_and_loses_nothing(calls, postgres_url):
    target = await calls.create()
    # Not 10 s, as else.
    impatient = "options=-c%20idle_in_transaction_session_timeout%3D200ms"
    stalled = Calls(SqlStore(f"{postgres_url}?{impatient}"))
    entered, goes_on = threading.Event(), threading.Event()

    def stand_still(connection):
        """With its locks, before the commit."""
        if connection.exec_driver_sql("SELECT 1 FROM exemplar WHERE exemplar_id = 'late'").scalar():
            entered.set()
            goes_on.wait(30)

    engine = stalled.store._database.write_engine  # noqa: SLF001 - no port makes a server stand still
    event.listen(engine, "commit", stand_still)
    late = asyncio.ensure_future(stalled.add(target, "late", key=retried()))
    await asyncio.to_thread(entered.wait, 30)
    assert (await calls.add(target, "a")).revision == 2
    goes_on.set()
    with pytest.raises(StoreUnreachableError, match="may be made or not"):
        await late
    assert await calls.ids() == ["a"]
    stalled.store.close()


async def test_a_commit_without_an_answer_is_never_a_success_and_its_retry_finds_out(
    calls, postgres
):
    target, key = await calls.create(), retried()
    administer(postgres, DIES_IN_COMMIT)
    with pytest.raises(StoreUnreachableError, match=r"may be made or not; .* same request_id"):
        await calls.add(target, "a", key=key)
    administer(postgres, "DROP TRIGGER dies ON exemplar")
    assert (await calls.add(target, "a", key=key)).revision == 2


async def test_lost_connections_cost_no_call(calls, postgres):
    await calls.create()
    administer(
        postgres,
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        " WHERE datname = 'used_by_all' AND pid <> pg_backend_pid()",
    )
    found = await asyncio.gather(*(calls.get() for _ in range(8)))
    assert {target.revision for target in found} == {1}
    assert (await calls.add(found[0], "a")).revision == 2


async def test_while_the_database_is_gone_calls_say_so_and_then_go_on(calls, postgres):
    target = await calls.create()
    await calls.add(target, "a")
    postgres.kill()
    try:
        with pytest.raises(StoreUnreachableError, match=r"cannot be read: OperationalError$"):
            await calls.get()
        with pytest.raises(StoreUnreachableError, match=r"refuses to write: OperationalError$"):
            await calls.add(target, "b")
    finally:
        postgres.start()
    assert (await calls.add(target, "b")).revision == 3
    assert await calls.ids() == ["a", "b"]


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        ("57P03", StoreUnreachableError),  # it starts
        ("53300", StoreUnreachableError),  # no connection is free
        ("40P01", StoreUnreachableError),  # others are always first
        ("53100", StoreUnavailableError),  # its disk is full
        ("25006", StoreUnavailableError),  # it is read-only
    ],
)
async def test_only_what_may_be_over_soon_is_worth_another_try(calls, code, kind):
    failing = text(f"DO $$ BEGIN RAISE EXCEPTION 'so' USING ERRCODE = '{code}'; END $$")
    with pytest.raises(StoreUnavailableError, match="refuses to write: ") as caught:
        await calls.store.write(lambda c: c.execute(failing))
    assert caught.type is kind
