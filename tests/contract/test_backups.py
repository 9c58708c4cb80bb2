"""Backups of a store, restored into a store of the same or of the other dialect."""

import io
import sqlite3

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from exemplar_server.backends import sql_migrations
from exemplar_server.backends.sql_backup import back_up
from exemplar_server.backends.sql_restore import restore
from exemplar_server.backends.sql_store import SqlStore
from exemplar_server.core.archive import ArchiveWriter
from exemplar_server.core.backup_file import BackupFile
from exemplar_server.errors import ConfigurationError, InvalidInputError, StoreUnavailableError
from fakes import exemplar, retried
from store_calls import Calls


@pytest.fixture
def elsewhere(request, tmp_path):
    """Another store's URL; of the dialect that it is called with."""
    folder = tmp_path / "elsewhere"
    folder.mkdir()

    def url_of(dialect):
        if dialect == "sqlite":
            return f"sqlite:///{folder}/store.db"
        server = request.getfixturevalue("postgres")
        return server.url("used_by_all")

    return url_of


async def filled(url):
    """A store with everything that a store can have; what a caller can read of it."""
    store = SqlStore(url)
    calls = Calls(store)
    target = await calls.create()
    new = [exemplar(f"{n:03}", f"läbel {n % 3}", n, bytes(n), {"n": str(n)}) for n in range(100)]
    key = retried()
    await calls.add(target, *new, key=key)
    await calls.remove("set", "007", "008")
    await calls.create("empty", keep_images=False)
    await calls.delete("empty")
    other = Calls(store, "other")
    await other.add(await other.create(), exemplar("a"))
    seen = await content(store, key), await store.epoch()
    store.close()
    return *seen, key


async def content(store, key):
    everything = []
    for tenant in ("tenant", "other"):
        calls = Calls(store, tenant)
        target = await calls.get()
        listed = await calls.listed(target, embeddings=True)
        images = await store.images(target.incarnation, [e.exemplar_id for e in listed])
        rows = [(e.exemplar_id, e.label, e.metadata, e.embedding_D.tobytes()) for e in listed]
        delta = await calls.delta("set", target.incarnation, 2)
        everything.append((target, rows, images, delta.removed_ids))
    return everything, await store.replay("tenant", key)


def backed_up(url):
    file = io.BytesIO()
    counts = back_up(url, file)
    return file, counts


@pytest.fixture(params=["sqlite", "postgresql"])
def target_dialect(request):
    return request.param


async def test_a_restored_store_is_as_it_was_and_has_another_epoch(
    url, elsewhere, target_dialect, request
):
    before, epoch, key = await filled(url)
    file, counts = backed_up(url)
    target = elsewhere(target_dialect)
    if target_dialect == "postgresql":
        request.getfixturevalue("postgres").empty("used_by_all")
    restored = restore(target, BackupFile(file), is_forced=False)
    assert (restored.counts, counts["exemplar"]) == (counts, 99)
    store = SqlStore(target)
    assert await content(store, key) == before
    assert await store.epoch() == restored.epoch != epoch
    store.close()


async def test_a_restored_store_goes_on(url, elsewhere):
    await filled(url)
    file, _ = backed_up(url)
    target = elsewhere("sqlite")
    restore(target, BackupFile(file), is_forced=False)
    store = SqlStore(target)
    calls = Calls(store)
    revision = (await calls.get()).revision
    assert (await calls.add(await calls.get(), "new")).revision == revision + 1
    assert (await calls.create("empty")).revision > 1  # above what had the name before
    store.close()


async def test_a_store_with_tenants_is_replaced_only_by_force(url):
    before, _, key = await filled(url)
    file, _ = backed_up(url)
    store = SqlStore(url)
    await Calls(store).delete()
    await Calls(store, "third").create()
    store.close()
    with pytest.raises(ConfigurationError, match="--force"):
        restore(url, BackupFile(file), is_forced=False)
    restore(url, BackupFile(file), is_forced=True)
    store = SqlStore(url)
    assert await content(store, key) == before
    assert await store.page("third", "", 10) == []
    store.close()


async def test_a_store_that_is_in_use_is_not_replaced(url):
    _, _, key = await filled(url)
    file, _ = backed_up(url)
    store = SqlStore(url)
    before = await content(store, key), await store.epoch()
    with pytest.raises(ConfigurationError, match="is in use: stop the servers"):
        restore(url, BackupFile(file), is_forced=True)
    assert (await content(store, key), await store.epoch()) == before
    store.close()


async def test_a_store_that_was_only_opened_counts_as_empty(url, elsewhere):
    await filled(url)
    file, _ = backed_up(url)
    target = elsewhere("sqlite")
    SqlStore(target).close()
    restore(target, BackupFile(file), is_forced=False)


async def test_a_failed_restore_leaves_the_store_as_it_was(url):
    before, epoch, key = await filled(url)
    file, _ = backed_up(url)
    backup = BackupFile(file)
    backup.counts["exemplar"] += 1
    with pytest.raises(InvalidInputError, match="rows"):
        restore(url, backup, is_forced=True)
    store = SqlStore(url)
    assert (await content(store, key), await store.epoch()) == (before, epoch)
    store.close()


@pytest.mark.parametrize("what", ["backup", "store"])
async def test_a_newer_schema_is_refused(url, what):
    await filled(url)
    file, _ = backed_up(url)
    backup = BackupFile(file)
    if what == "backup":
        backup = Newer(backup)
    else:
        engine = sa.create_engine(url)
        with engine.begin() as connection:
            connection.execute(sa.text("UPDATE alembic_version SET version_num = '9999'"))
        engine.dispose()
        with pytest.raises(ConfigurationError, match="9999 is newer"):
            backed_up(url)
    with pytest.raises(ConfigurationError, match="newer than this server"):
        restore(url, backup, is_forced=True)


class Newer:
    """A backup of a schema that nobody knows yet."""

    def __init__(self, backup):
        self.facts = type(backup.facts)("9999", backup.facts.epoch, backup.facts.created)


async def test_a_backup_of_an_older_schema_is_upgraded(url, elsewhere):
    engine = sa.create_engine(url)
    from contract.test_upgrades import fill  # noqa: PLC0415 - its rows of schema 0001

    with engine.begin() as connection:
        sql_migrations.migrate(connection, "0001")
    with engine.begin() as connection:
        fill(connection)
    engine.dispose()
    file, _ = backed_up(url)
    assert BackupFile(file).facts.schema == "0001"
    target = elsewhere("sqlite")
    restore(target, BackupFile(file), is_forced=False)
    store = SqlStore(target)
    assert await Calls(store).ids("one") == ["a", "b"]
    store.close()


@pytest.mark.parametrize("wrong", ["sqlite:///{}/none.db", "sqlite:///{}/empty.db"])
def test_a_store_that_is_not_there_is_not_backed_up(tmp_path, wrong):
    sqlite3.connect(tmp_path / "empty.db").close()
    with pytest.raises(StoreUnavailableError, match="EXEMPLAR_STORE_URL"):
        back_up(wrong.format(tmp_path), io.BytesIO())


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The bytes of a backup."""
    url = f"sqlite:///{tmp_path_factory.mktemp('whole')}/store.db"
    SqlStore(url).close()
    return backed_up(url)[0].getvalue()


@settings(max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_a_changed_or_cut_backup_is_refused(whole, data):
    place = data.draw(st.integers(0, len(whole) - 1))
    changed = bytearray(whole)
    changed[place] ^= data.draw(st.integers(1, 255))
    for wrong in (bytes(changed), whole[:place]):
        with pytest.raises(InvalidInputError, match="corrupt or incomplete"):
            BackupFile(io.BytesIO(wrong))


@pytest.mark.parametrize("manifest", [b"{}", b"no json", b'{"format": "exemplar-support-set"}'])
def test_what_is_no_backup_is_refused(manifest):
    file = io.BytesIO()
    writer = ArchiveWriter(file)
    writer.add("manifest.json", manifest)
    writer.finish()
    with pytest.raises(InvalidInputError, match="expected exemplar-backup"):
        BackupFile(file)
