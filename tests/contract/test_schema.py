"""The migrations make exactly the tables of sql_schema, and a newer store is left alone."""

import sqlite3

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import create_engine, inspect

from exemplar_server.backends.sql_schema import metadata
from exemplar_server.backends.sql_store import SqlStore
from exemplar_server.errors import ConfigurationError


@pytest.fixture
def path(tmp_path):
    """A store that the migrations made."""
    made = tmp_path / "store.db"
    SqlStore(f"sqlite:///{made}").close()
    return made


@pytest.fixture
def engine(path):
    opened = create_engine(f"sqlite:///{path}")
    yield opened
    opened.dispose()


def execute(path, statement):
    connection = sqlite3.connect(path)
    with connection:
        rows = connection.execute(statement).fetchall()
    connection.close()
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


def test_alembic_finds_nothing_to_change(engine):
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, metadata) == []


def test_the_migrations_make_the_tables_that_the_schema_describes(engine):
    described = create_engine("sqlite://")
    metadata.create_all(described)
    assert shapes(engine) == shapes(described)
    described.dispose()


def test_every_store_has_one_epoch_of_its_own(path, tmp_path):
    SqlStore(f"sqlite:///{tmp_path}/other.db").close()
    epochs = [execute(p, "SELECT epoch FROM store") for p in (path, tmp_path / "other.db")]
    assert [len(rows) for rows in epochs] == [1, 1]
    assert epochs[0] != epochs[1]


def test_opening_again_changes_nothing(path):
    before = execute(path, "SELECT * FROM sqlite_schema ORDER BY name")
    SqlStore(f"sqlite:///{path}").close()
    assert execute(path, "SELECT * FROM sqlite_schema ORDER BY name") == before


def test_a_store_of_a_newer_server_is_refused_and_left_as_it_is(path):
    execute(path, "UPDATE alembic_version SET version_num = '9999'")
    with pytest.raises(ConfigurationError, match=r"EXEMPLAR_STORE_URL: .* newer than this server"):
        SqlStore(f"sqlite:///{path}")
    assert execute(path, "SELECT version_num FROM alembic_version") == [("9999",)]
