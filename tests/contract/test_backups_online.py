"""Backups of a store while a server writes to it, and after one was killed."""

import asyncio
import io
import sqlite3
import threading

from exemplar_server.backends.sql_backup import back_up
from exemplar_server.backends.sql_restore import restore
from exemplar_server.backends.sql_store import SqlStore
from exemplar_server.core.backup_file import BackupFile
from fakes import exemplar
from store_calls import Calls


def backed_up(url):
    file = io.BytesIO()
    back_up(url, file)
    return file


class Writing(threading.Thread):
    """Adds exemplars one after the other, on SQLite as the server does, until it is stopped."""

    def __init__(self, url):
        super().__init__()
        self.store = SqlStore(url)
        self.acknowledged = 0
        self.is_stopped = threading.Event()
        self.first = threading.Event()

    def run(self):
        asyncio.run(self.write())

    async def write(self):
        calls = Calls(self.store)
        target = await calls.create()
        while not self.is_stopped.is_set():
            await calls.add(target, exemplar(f"{self.acknowledged:06}", image=bytes(3000)))
            self.acknowledged += 1
            if self.acknowledged == 50:
                self.first.set()


async def test_a_backup_beside_a_writer_has_every_write_from_before_it_began(url, tmp_path):
    writer = Writing(url)
    writer.start()
    writer.first.wait()
    backups = []
    try:
        for _ in range(5):
            before = writer.acknowledged
            backups.append((before, backed_up(url), writer.acknowledged))
    finally:
        writer.is_stopped.set()
        writer.join()
        writer.store.close()
    target = f"sqlite:///{tmp_path}/restored.db"
    for before, file, after in backups:
        restore(target, BackupFile(file), is_forced=True)
        store = SqlStore(target)
        ids = (await Calls(store).delta("set")).exemplar_ids
        found = await Calls(store).get()
        store.close()
        assert ids == tuple(f"{n:06}" for n in range(len(ids)))
        assert found.exemplar_count == len(ids) == found.revision - 1
        assert before <= len(ids) <= after + 1


def test_a_backup_of_sqlite_leaves_the_write_ahead_log_alone(tmp_path):
    path = tmp_path / "store.db"
    SqlStore(f"sqlite:///{path}").close()
    writing = sqlite3.connect(path, isolation_level=None)
    writing.execute("PRAGMA wal_autocheckpoint=0")
    writing.execute("CREATE TABLE more AS SELECT randomblob(1000000) AS value")
    log = path.with_name("store.db-wal")
    before = path.read_bytes(), log.read_bytes()
    back_up(f"sqlite:///{path}", io.BytesIO())
    assert (path.read_bytes(), log.read_bytes()) == before
    writing.close()


def test_a_backup_after_a_kill_reads_what_is_in_the_write_ahead_log_only(tmp_path):
    path = tmp_path / "store.db"
    writing = sqlite3.connect(path, isolation_level=None)
    writing.close()
    store = SqlStore(f"sqlite:///{path}")
    copy = tmp_path / "killed"
    copy.mkdir()
    for name in ("store.db", "store.db-wal"):
        (copy / name).write_bytes((tmp_path / name).read_bytes())
    store.close()
    counts = back_up(f"sqlite:///{copy}/store.db", io.BytesIO())
    assert counts["store"] == 1
