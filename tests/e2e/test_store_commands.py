"""A store is backed up beside its running server, restored, looked through; imports are killed."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
import threading
import time
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from exemplar import Client, ExemplarError, UnavailableError
from exemplar_server.core.exemplars import Exemplar
from exemplar_server.core.support_set_file import SupportSetWriter
from fakes import support_set, unit_rows
from pictures import png
from server_process import PATIENCE_SECONDS, Server

COUNT = 8000
KILLS = 2


@pytest.fixture
def store(tmp_path):
    return tmp_path / "store.db"


@pytest.fixture
def start(backbone_dir, store):
    """Starts a server on the store; yields it and a client; kills it at the end."""
    started = []

    def begin():
        started.append(Server(backbone_dir, store, EXEMPLAR_REVISION_WAIT_SECONDS="0"))
        return started[-1], Client(started[-1].address(), timeout_seconds=PATIENCE_SECONDS)

    yield begin
    for server in started:
        server.kill()


@pytest.fixture
def command(store):
    """Runs exemplar-server on the store; its exit code and what it told."""

    def run(*words):
        done = subprocess.run(
            [Path(sys.executable).with_name("exemplar-server"), *map(str, words)],
            env=os.environ | {"EXEMPLAR_STORE_URL": f"sqlite:///{store}"},
            capture_output=True,
            check=False,
            text=True,
            timeout=PATIENCE_SECONDS,
        )
        return done.returncode, done.stdout, done.stderr

    return run


def answered(client):
    answers = client.classify("set", [png(500 + n) for n in range(100)])
    return [(a.label, [n.exemplar_id for n in a.neighbors]) for a in answers]


def test_a_backup_beside_a_server_restores_what_it_answered(start, command, tmp_path):
    server, client = start()
    file = tmp_path / "backup"
    client.create_support_set("set")
    client.add_exemplars("set", [(f"label {n % 3}", png(n)) for n in range(20)])
    before, epoch = answered(client), client.get_server_info().store_epoch
    assert command("backup", file)[0] == 0
    client.add_exemplars("set", [("later", png(100 + n)) for n in range(20)])
    client.remove_exemplars("set", [e.exemplar_id for e in client.list_exemplars("set")][:5])
    assert answered(client) != before
    assert command("verify")[0] == 0
    refused = command("restore", file, "--force")
    assert refused[0] == 1
    assert "is in use: stop the servers that use it first" in refused[2]

    server.stop()
    assert "--force replaces all that is there" in command("restore", file)[2]
    assert command("restore", file, "--force")[0] == 0
    assert command("verify", file)[0] == 0
    server, again = start()
    assert again.get_server_info().store_epoch != epoch
    assert answered(again) == before

    # A client from before knows revisions that are void: it is told so, once.
    old = elsewhere(client, again)
    with pytest.raises(UnavailableError, match="min_revision"):
        answered(old)
    assert answered(old) == before


def elsewhere(old, new):
    """The old client with the new connection: as where a name leads to the server again."""
    old._driver.close()  # noqa: SLF001 - a server that starts again gets another port here
    old._driver = new._driver  # noqa: SLF001 - as above
    return old


def test_a_wrong_file_or_store_is_told_in_one_line(command, store, tmp_path):
    (tmp_path / "no backup").write_bytes(b"x" * 5000)
    for words in (
        ("backup", tmp_path / "backup"),  # there is no store
        ("restore", tmp_path / "no backup"),
        ("restore", tmp_path / "nothing"),
    ):
        code, out, err = command(*words)
        assert (code, out, err.count("\n")) == (1, "", 1), words
        assert err.startswith("exemplar-server: ")
    assert not list(tmp_path.glob("backup*"))
    assert not store.exists()


def large_file(path, fingerprint, dim):
    """A support set that takes a while to be stored."""
    rows_ND = unit_rows(np.random.default_rng(0), COUNT, dim)
    with path.open("w+b") as file, SupportSetWriter(file, 2**30) as writer:
        writer.begin(support_set(fingerprint=fingerprint, dim=dim, exemplar_count=COUNT))
        writer.take(
            [
                Exemplar(f"{n:06}", f"{n % 7}", {}, 1, has_image=False, embedding_D=rows_ND[n])
                for n in range(COUNT)
            ],
            {},
        )
        writer.finish()


def sets_in(store):
    """Also those that nobody sees."""
    with closing(sqlite3.connect(f"file:{store}?mode=ro", uri=True)) as reading:
        return reading.execute("SELECT count(*) FROM support_set").fetchone()[0]


def test_an_import_that_is_killed_leaves_nothing_or_everything(start, command, store, tmp_path):
    server, client = start()
    path = tmp_path / "large.tar"
    backbone = client.list_backbones()[0]
    large_file(path, backbone.fingerprint, backbone.dim)
    started = time.monotonic()
    client.import_support_set(path, "whole")
    whole_seconds = time.monotonic() - started
    for number in range(KILLS):
        importing = threading.Thread(target=import_quietly, args=(client, path, f"k{number}"))
        importing.start()
        importing.join(whole_seconds * (number + 0.5) / KILLS)
        server.kill()
        client.close()
        importing.join()
        code, out, err = command("verify")
        assert code == 0, out + err
        server, client = start()
        counts = {s.name: s.exemplar_count for s in client.list_support_sets()}
        assert set(counts.values()) == {COUNT}
        assert sets_in(store) == len(counts)


def import_quietly(client, path, name):
    try:
        client.import_support_set(path, name)
    except (ExemplarError, ValueError):  # a channel that was closed is a ValueError
        return
