"""The migrations make exactly the tables of sql_schema, and a newer store is left alone."""

from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import create_engine, inspect, text

from exemplar_server.backends import sql_migrations
from exemplar_server.backends.sql_schema import metadata
from exemplar_server.backends.sql_store import SqlStore
from exemplar_server.errors import ConfigurationError
from fakes import exemplar
from store_calls import Calls


@pytest.fixture
def made(url):
    """The URL of a store that the migrations made."""
    SqlStore(url).close()
    return url


@pytest.fixture
def engine(made):
    opened = create_engine(made)
    yield opened
    opened.dispose()


def execute(url, statement):
    engine = create_engine(url)
    with engine.begin() as connection:
        result = connection.execute(text(statement))
        rows = [tuple(row) for row in result] if result.returns_rows else []
    engine.dispose()
    return rows


def shape(inspector, table):
    """What makes a table: its columns, keys and indexes."""
    columns = [(c["name"], str(c["type"]), c["nullable"]) for c in inspector.get_columns(table)]
    foreign_keys = inspector.get_foreign_keys(table)
    return (
        columns,
        inspector.get_pk_constraint(table)["constrained_columns"],
        [(key["constrained_columns"], key["referred_table"]) for key in foreign_keys],
        sorted((i["name"], i["column_names"]) for i in inspector.get_indexes(table)),
        sorted(c["column_names"] for c in inspector.get_unique_constraints(table)),
    )


def shapes(engine):
    inspector = inspect(engine)
    tables = set(inspector.get_table_names()) - {"alembic_version"}
    return {table: shape(inspector, table) for table in tables}


def test_the_files_of_migrations_are_named_by_their_revisions():
    scripts = ScriptDirectory(str(Path(sql_migrations.__file__).parent / "migrations"))
    assert {script.revision for script in scripts.walk_revisions()} == sql_migrations.known()
    assert scripts.get_current_head() == sql_migrations.head()


def test_alembic_finds_nothing_to_change(engine):
    with engine.connect() as connection:
        options = {"compare_type": True, "compare_server_default": True}
        context = MigrationContext.configure(connection, opts=options)
        assert compare_metadata(context, metadata) == []


def test_the_migrations_make_the_tables_that_the_schema_describes(engine):
    migrated = shapes(engine)
    with engine.begin() as connection:
        connection.execute(text("DROP TABLE alembic_version"))
        metadata.drop_all(connection)
        metadata.create_all(connection)
    assert migrated == shapes(engine)


def test_every_store_has_one_epoch_of_its_own(made, tmp_path):
    other = f"sqlite:///{tmp_path}/other.db"
    SqlStore(other).close()
    epochs = [execute(url, "SELECT epoch FROM store") for url in (made, other)]
    assert [len(rows) for rows in epochs] == [1, 1]
    assert epochs[0] != epochs[1]


def test_opening_again_changes_nothing(engine, made):
    before = shapes(engine), execute(made, "SELECT epoch FROM store")
    SqlStore(made).close()
    assert (shapes(engine), execute(made, "SELECT epoch FROM store")) == before


def test_a_store_of_a_newer_server_is_refused_and_left_as_it_is(made):
    execute(made, "UPDATE alembic_version SET version_num = '9999'")
    with pytest.raises(ConfigurationError, match=r"EXEMPLAR_STORE_URL: .* newer than this server"):
        SqlStore(made)
    assert execute(made, "SELECT version_num FROM alembic_version") == [("9999",)]


async def test_names_ids_and_labels_are_ordered_by_code_point(sql_store):
    """Not by a language's rules, where "a" comes before "B" and "z" after "\u00e4"."""
    calls, names = Calls(sql_store), ["B", "a", "a-b", "a.b", "aB", "z", "\u00e4", "\U0001f600"]
    target = await calls.create("z")
    await calls.add(target, *(exemplar(name, name) for name in reversed(names)))
    assert await calls.ids("z") == list(await calls.label_counts("z")) == names
    for name in ("B", "a"):
        await calls.create(name)
    paged = await sql_store.page(calls.tenant, "A", 2)
    assert [found.name for found in paged] == ["B", "a"]
