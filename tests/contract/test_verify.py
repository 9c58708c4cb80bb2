"""A store is looked through: what the server wrote is right, and what is wrong is found."""

import io

import pytest
import sqlalchemy as sa

from exemplar_server.backends.sql_backup import back_up
from exemplar_server.backends.sql_store import SqlStore
from exemplar_server.backends.sql_transfers import SqlTransfers
from exemplar_server.backends.sql_verify import verify
from exemplar_server.core.archive import ArchiveWriter
from exemplar_server.core.backup_file import BackupWriter, Facts
from exemplar_server.core.limits import Quotas
from exemplar_server.core.support_set_file import SupportSetWriter
from exemplar_server.core.verification import TOLD, verify_file
from exemplar_server.errors import ConfigurationError, InvalidInputError
from fakes import TENANT, exemplar
from store_calls import Calls


@pytest.fixture
async def filled(url):
    """A store that much happened to; its URL."""
    store = SqlStore(url)
    calls = Calls(store)
    target = await calls.create()
    await calls.add(target, *(exemplar(f"{n:03}", "x", n, bytes(n + 1)) for n in range(40)))
    await calls.save("before")
    await calls.remove("set", "003", "004")
    await calls.relabel("set", "y", "005", "006")
    await calls.add(target, exemplar("003", "z", 3, bytes(7)))
    await calls.save("after")
    await calls.roll_back("before")
    await calls.copy("set", "copy")
    await calls.keep_images("copy", keep_images=False)
    await calls.create("ended")
    await calls.add(await calls.get("ended"), "a")
    await calls.delete("ended")
    store.close()
    return url


def wrong(url):
    """What is wrong, by check; only where something is."""
    return {check.what: check.wrong for check in verify(url) if check.wrong_count}


def changed(url, *statements):
    engine = sa.create_engine(url)
    with engine.begin() as connection:
        for statement in statements:
            connection.execute(sa.text(statement))
    engine.dispose()


def test_nothing_is_wrong_with_what_the_server_wrote(filled):
    assert wrong(filled) == {}
    examined = {check.what: check.examined for check in verify(filled)}
    assert examined["exemplars: an embedding each"] == 80
    assert examined["support sets: counters"] == 2


def test_a_store_is_looked_through_while_it_is_in_use(filled):
    store = SqlStore(filled)
    assert wrong(filled) == {}
    store.close()


# What is done to the store behind the server's back, and what must be told of it.
DAMAGE = [
    (
        "UPDATE embedding SET crc32 = crc32 + 1 WHERE exemplar_id = '010'",
        "embeddings: bytes and checksum",
        "tenant/set/010: embedding",
    ),
    (
        "UPDATE past_embedding SET crc32 = crc32 + 1",
        "embeddings: bytes and checksum",
        "tenant/set/003: past_embedding",
    ),
    (
        "DELETE FROM embedding WHERE exemplar_id = '011'",
        "exemplars: an embedding each",
        "tenant/set/011: has no embedding of its support set's space",
    ),
    (
        "DELETE FROM exemplar WHERE exemplar_id = '012'",
        "images: an exemplar each",
        "tenant/set/012: an image of no exemplar",
    ),
    (
        "UPDATE support_set SET exemplar_count = exemplar_count + 1 WHERE name = 'set'",
        "support sets: counters",
        "tenant/set: says 41 exemplars",
    ),
    (
        "UPDATE support_set SET stored_bytes = 0 WHERE name = 'copy'",
        "support sets: counters",
        "tenant/copy: says 40 exemplars and 0 bytes",
    ),
    ("UPDATE tenant SET exemplar_count = 0", "tenants: counters", "tenant: says 0 exemplars"),
    (
        "UPDATE snapshot SET incarnation = 'nobody' WHERE name = 'after'",
        "parts: a support set each",
        "snapshot: 1 rows of support set nobody, which is not there",
    ),
]


def test_what_is_wrong_is_found(filled):
    changed(filled, *(statement for statement, _, _ in DAMAGE))
    found = wrong(filled)
    for statement, what, told in DAMAGE:
        assert any(told in line for line in found[what]), (statement, found)
    assert found.keys() == {what for _, what, _ in DAMAGE}


def test_only_the_first_of_many_are_told_and_all_are_counted(filled):
    changed(filled, "UPDATE embedding SET crc32 = crc32 + 1")
    (check,) = [c for c in verify(filled) if c.what == "embeddings: bytes and checksum"]
    assert (check.wrong_count, len(check.wrong)) == (80, TOLD)


def test_a_store_of_an_older_schema_is_to_be_upgraded_first(url):
    SqlStore(url).close()
    changed(url, "UPDATE alembic_version SET version_num = '0001'")
    with pytest.raises(ConfigurationError, match="start the server once"):
        verify(url)


# Files


def test_nothing_is_wrong_with_a_backup(filled):
    file = io.BytesIO()
    counts = back_up(filled, file)
    tables, embeddings = verify_file(file)
    assert (tables.examined, tables.wrong_count) == (len(counts), 0)
    assert (embeddings.examined, embeddings.wrong_count) == (
        counts["embedding"] + counts["past_embedding"],
        0,
    )


def test_a_backup_of_a_corrupt_store_is_told_apart(filled):
    changed(filled, "UPDATE embedding SET crc32 = crc32 + 1 WHERE exemplar_id = '010'")
    file = io.BytesIO()
    back_up(filled, file)
    assert [check.wrong_count for check in verify_file(file)] == [0, 2]


async def test_nothing_is_wrong_with_an_exported_support_set(filled):
    file, store = io.BytesIO(), SqlStore(filled)
    with SupportSetWriter(file, 2**30) as writer:
        await SqlTransfers(store, Quotas()).walk(TENANT, "set", writer)
        writer.finish()
    store.close()
    (check,) = verify_file(file)
    assert (check.examined, check.wrong_count) == (40, 0)
    with pytest.raises(InvalidInputError, match="corrupt or incomplete"):
        verify_file(io.BytesIO(file.getvalue()[:-1]))


def test_a_backup_that_lacks_rows_is_told():
    file = io.BytesIO()
    backup = BackupWriter(file, Facts("0001", "epoch", "now"))
    backup.add("tenant", [{"name": "a"}])
    backup._counts["tenant"] = 2  # noqa: SLF001 - no writer makes such a file
    backup.finish()
    assert verify_file(file)[0].wrong == ("tenant: expected 2 rows, got 1",)


def test_what_is_neither_is_refused():
    file = io.BytesIO()
    writer = ArchiveWriter(file)
    writer.add("manifest.json", b"{}")
    writer.finish()
    with pytest.raises(InvalidInputError, match="expected exemplar-backup"):
        verify_file(file)
