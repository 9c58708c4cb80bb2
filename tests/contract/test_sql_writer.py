"""The store's writer: one commit for many, and nobody's trouble is another's."""

import threading
from concurrent.futures import wait

import pytest
from sqlalchemy import create_engine, event

from exemplar_server.backends.sql_reserve import Reserve
from exemplar_server.backends.sql_writer import GROUP, Writer
from exemplar_server.errors import NotServingError, StoreUnavailableError


@pytest.fixture
def engine(tmp_path):
    made = create_engine(
        f"sqlite:///{tmp_path}/numbers.db", connect_args={"check_same_thread": False}
    )
    event.listen(
        made, "connect", lambda connection, _: setattr(connection, "isolation_level", None)
    )
    event.listen(made, "begin", lambda connection: connection.exec_driver_sql("BEGIN IMMEDIATE"))
    with made.begin() as connection:
        connection.exec_driver_sql("CREATE TABLE number (value INTEGER PRIMARY KEY)")
    yield made
    made.dispose()


@pytest.fixture
def commits(engine):
    """One entry a commit, from now on."""
    counted = []
    event.listen(engine, "commit", counted.append)
    return counted


@pytest.fixture
def writer(engine, tmp_path):
    started = Writer(engine, Reserve(tmp_path / "reserve", engine))
    yield started
    started.stop()


class Busy:
    """A mutation that keeps the writer busy until `gate` opens."""

    def __init__(self, writer):
        self.gate = threading.Event()
        self.entered = threading.Event()
        self.answer = writer.submit(self)
        assert self.entered.wait(10)

    def __call__(self, _connection):
        self.entered.set()
        assert self.gate.wait(10)


def insert(value):
    return lambda c: c.exec_driver_sql("INSERT INTO number VALUES (?)", (value,)).rowcount


def numbers(connection):
    rows = connection.exec_driver_sql("SELECT value FROM number ORDER BY value")
    return [row[0] for row in rows]


def broken(connection):
    connection.exec_driver_sql("INSERT INTO nowhere VALUES (1)")


def refuses(_connection):
    raise KeyError("refused")


def refuses_if_there_are_numbers(connection):
    if numbers(connection):
        raise KeyError("there are numbers")


def outcomes(writer, *mutations):
    """What becomes of mutations that are committed together, by their errors' types."""
    busy = Busy(writer)
    answers = [writer.submit(mutation) for mutation in mutations]
    busy.gate.set()
    wait(answers, 10)
    return [type(answer.exception()) for answer in answers]


OK = type(None)


def test_a_mutation_is_answered_with_its_result(writer):
    assert writer.submit(insert(1)).result(10) == 1
    assert writer.submit(numbers).result(10) == [1]


def test_mutations_that_wait_share_one_commit(writer, commits):
    assert outcomes(writer, *map(insert, range(10))) == [OK] * 10
    assert len(commits) == 2  # the busy one's and theirs


def test_a_group_is_bounded(writer, commits):
    assert outcomes(writer, *map(insert, range(GROUP + 1))) == [OK] * (GROUP + 1)
    assert len(commits) == 3


def test_a_refusing_mutation_costs_its_neighbors_nothing(writer):
    assert outcomes(writer, insert(1), refuses, insert(2)) == [OK, KeyError, OK]
    assert writer.submit(numbers).result(10) == [1, 2]


def test_a_refusing_mutation_leaves_nothing_written(writer):
    def writes_and_refuses(connection):
        insert(1)(connection)
        refuses(connection)

    assert outcomes(writer, writes_and_refuses) == [KeyError]
    assert writer.submit(numbers).result(10) == []


def test_a_mutation_that_breaks_the_transaction_costs_its_neighbors_nothing(writer):
    expected = [OK, StoreUnavailableError, OK]
    assert outcomes(writer, insert(1), broken, insert(2)) == expected
    assert writer.submit(numbers).result(10) == [1, 2]


def test_a_refusal_counts_only_with_the_writes_it_was_founded_on(writer):
    tries = []

    def succeeds_once(connection):
        tries.append(1)
        insert(1)(connection) if len(tries) == 1 else broken(connection)

    expected = [StoreUnavailableError, OK, StoreUnavailableError]
    assert outcomes(writer, succeeds_once, refuses_if_there_are_numbers, broken) == expected


def test_a_caller_that_leaves_before_the_commit_has_written_nothing(writer):
    busy = Busy(writer)
    left = writer.submit(insert(1))
    assert left.cancel()
    busy.gate.set()
    assert writer.submit(numbers).result(10) == []


def test_a_caller_that_leaves_during_its_mutation_does_not_stop_the_writer(writer):
    busy = Busy(writer)
    busy.answer.cancel()
    busy.gate.set()
    assert writer.submit(insert(1)).result(10) == 1


def test_stop_answers_everything_submitted_before(engine, tmp_path):
    writer = Writer(engine, Reserve(tmp_path / "reserve", engine))
    busy = Busy(writer)
    answers = [writer.submit(insert(n)) for n in range(3)]
    threading.Timer(0.0, busy.gate.set).start()
    writer.stop()
    assert [answer.result(0) for answer in answers] == [1, 1, 1]


def test_a_stopped_writer_refuses(engine, tmp_path):
    writer = Writer(engine, Reserve(tmp_path / "reserve", engine))
    writer.stop()
    with pytest.raises(NotServingError, match="closed"):
        writer.submit(insert(1)).result(10)
