"""A change is on disk before it is acknowledged, as the kernel saw it: fdatasync, then the reply.

strace watches a real server. That the check can fail is shown by a server whose SQLite does not
wait for the disk (synchronous=NORMAL): killing a process cannot tell the two apart.
"""

import os
import re
import shutil
import sys
import threading
from dataclasses import dataclass

import pytest

from process_calls import addition, calling
from server_process import PATIENCE_SECONDS, Server

CALLS = "pwrite64,fdatasync,fsync,sendmsg"
# The server with one word changed, as the process that it would be.
WEAKENED = """
import sys
from exemplar_server import cli
from exemplar_server.backends import sql_sqlite
sql_sqlite.PRAGMAS = tuple(p.replace("=FULL", "=NORMAL") for p in sql_sqlite.PRAGMAS)
sys.argv = sys.argv[1:]
sys.exit(cli.main())
"""
LINE = re.compile(r"(?P<pid>\d+) +(?:<\.\.\. )?(?P<call>\w+)(?P<rest>.*)")


@dataclass(frozen=True)
class SystemCall:
    """One that ended, in the order of the ends; of a sendmsg, in the order of the beginnings."""

    name: str
    text: str


def system_calls(log):
    """What strace saw. A call that another thread's line parted is put together again."""
    begun = {}
    for line in log.splitlines():
        match = LINE.match(line)
        if match is None:
            continue
        key, text = (match["pid"], match["call"]), match["rest"]
        if "resumed>" in text:
            text = begun.pop(key, "") + text
            if match["call"] != "sendmsg":
                yield SystemCall(match["call"], text)
        elif "<unfinished ...>" in text and match["call"] != "sendmsg":
            begun[key] = text
        else:
            yield SystemCall(match["call"], text)


def is_of_log(call):
    """On SQLite's write-ahead log."""
    return "store.db-wal>" in call.text


def unsynced_replies(log, ids):
    """Of these, the ids whose reply began when something in the log was not yet on disk."""
    is_synced, waiting, found = True, set(ids), set()
    for call in system_calls(log):
        if call.name == "pwrite64" and is_of_log(call):
            is_synced = False
        elif call.name in {"fdatasync", "fsync"} and is_of_log(call):
            is_synced = True
        elif call.name == "sendmsg":
            replied = {i for i in waiting if i in call.text}
            waiting -= replied
            found |= set() if is_synced else replied
    assert not waiting, "strace missed a reply"
    return found


@pytest.fixture
def watched(backbone_dir, tmp_path):
    """Adds exemplars to a server that runs under strace; returns strace's log, and the ids."""
    if (strace := shutil.which("strace")) is None:
        missing = "strace is not installed: on Debian, apt-get install strace"
        (pytest.fail if "CI" in os.environ else pytest.skip)(missing)

    def watch(*under):
        log = tmp_path / "log"
        # -D: strace is the server's grandchild, so that signals reach the server and no other.
        flags = ["-D", "-f", "--seccomp-bpf", "-y", "-s", "4096", "-e", f"trace={CALLS}"]
        server = Server(
            backbone_dir, tmp_path / "store.db", under=[strace, *flags, "-o", log, *under]
        )
        ids = [f"exemplar-number-{number}" for number in range(5)]
        try:
            with calling(server.address()) as calls:
                calls.create("set")
                for exemplar_id in ids:
                    calls.change(addition("set", [exemplar_id]))
            server.stop()
        finally:
            server.kill()
        return ended(log, server.process.pid), ids

    return watch


def ended(log, pid):
    """The whole log: strace writes its last line after the server's end."""
    for _ in range(PATIENCE_SECONDS * 50):
        text = log.read_text(errors="replace")
        if re.search(rf"^{pid} +\+\+\+ ", text, re.MULTILINE):
            return text
        threading.Event().wait(0.02)
    raise TimeoutError("strace did not end")


def test_a_change_is_on_disk_before_its_reply(watched):
    log, ids = watched()
    assert unsynced_replies(log, ids) == set()


def test_the_same_check_fails_where_the_disk_is_not_waited_for(watched):
    log, ids = watched(sys.executable, "-c", WEAKENED)
    assert unsynced_replies(log, ids) == set(ids)
