"""The room that SQLite's store keeps for deletions, on a disk of its own."""

import asyncio
import sqlite3
from contextlib import closing

import pytest

from disks import MEGABYTE, fill, small_disk
from exemplar_server.backends.sql_reserve import SHARE_OF_DISK
from exemplar_server.backends.sql_store import SqlStore
from exemplar_server.core.exemplars import Change
from exemplar_server.errors import StoreUnavailableError
from fakes import exemplar
from store_calls import Calls

DISK_MEGABYTES = 16
WHOLE = DISK_MEGABYTES * MEGABYTE // SHARE_OF_DISK


@pytest.fixture
def disk():
    with small_disk(DISK_MEGABYTES) as folder:
        yield folder


@pytest.fixture
def calls(disk):
    opened = SqlStore(f"sqlite:///{disk}/store.db")
    yield Calls(opened)
    opened.close()


def kept(disk):
    path = disk / "store.db-reserve"
    return path.stat().st_size if path.exists() else 0


async def filled(calls, disk):
    """A support set with 60 exemplars of 64 KB on a disk without any room."""
    target = await calls.create()
    for number in range(60):
        await calls.add(target, exemplar(f"{number:02}", image=bytes(64 * 1024)))
    with closing(sqlite3.connect(disk / "store.db")) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")  # what is left to the log varies
    fill(disk)
    return target


async def settled(calls):
    """Returns when the writer is done with what comes after an answer."""
    await calls.store.write(lambda _: None)


async def test_an_eighth_of_a_small_disk_is_kept_while_the_store_is_open(disk, calls):
    assert kept(disk) == WHOLE
    calls.store.close()
    assert kept(disk) == 0


async def test_a_full_disk_lets_all_be_deleted_bit_by_bit(disk, calls):
    await filled(calls, disk)
    with pytest.raises(StoreUnavailableError):
        await calls.add(await calls.get(), exemplar("more", image=bytes(MEGABYTE)))
    for start in range(0, 60, 10):
        removed = await calls.remove("set", *(f"{start + n:02}" for n in range(10)))
        assert removed.exemplar_count == 50 - start
    assert (await calls.delete()).exemplar_count == 0


async def test_more_than_the_reserve_cannot_be_deleted_at_once_from_a_full_disk(disk, calls):
    """Where SQLite overwrites what is deleted, which takes as much room in its log."""
    await filled(calls, disk)
    overwriting = "PRAGMA secure_delete=ON"
    await calls.store.write(lambda c: c.exec_driver_sql(overwriting))
    with pytest.raises(StoreUnavailableError, match="delete less at once"):
        await calls.delete()
    assert len(await calls.ids()) == 60


async def test_all_of_it_is_kept_again_once_there_is_room(disk, calls):
    target = await filled(calls, disk)
    await calls.remove("set", *(f"{n:02}" for n in range(20)))
    await settled(calls)
    assert 0 < kept(disk) < WHOLE
    (disk / "somebody-elses").unlink()
    await calls.add(target, "small")
    assert kept(disk) == WHOLE


async def test_a_store_on_a_full_disk_does_not_grow_but_takes_what_fits(disk, calls):
    target = await filled(calls, disk)
    await calls.remove("set", *(f"{n:02}" for n in range(20)))
    await settled(calls)
    size = (disk / "store.db").stat().st_size
    await calls.add(target, exemplar("again", image=bytes(64 * 1024)))
    adding = [calls.add(target, exemplar(f"n{n}", image=bytes(64 * 1024))) for n in range(60)]
    outcomes = await asyncio.gather(*adding, return_exceptions=True)
    assert {type(o) for o in outcomes} == {Change, StoreUnavailableError}
    assert (disk / "store.db").stat().st_size == size
