"""Ends what a test process leaves behind when it is killed itself: processes, mounts and folders.

A small process reads from a pipe what begins and what has ended. The pipe's end is the end of
whoever writes to it, however that came: then it ends the rest, last begun first.
"""

from __future__ import annotations

import atexit
import os
import shutil
import signal
import subprocess
import sys
from contextlib import suppress
from functools import cache

PROCESS, MOUNT, FOLDER = "process", "mount", "folder"


def begun(kind: str, what: object) -> None:
    """To be ended by its owner, or else by the watchdog. `what`: a process id or a path."""
    _tell("begun", kind, what)


def ended(kind: str, what: object) -> None:
    _tell("ended", kind, what)


def _tell(word: str, kind: str, what: object) -> None:
    """One write a line: lines of several threads never mix."""
    os.write(_pipe(), f"{word} {kind} {what}\n".encode())


@cache
def _pipe() -> int:
    """Starts the watchdog, in a session of its own: signals to ours do not end it."""
    dog = subprocess.Popen(
        [sys.executable, __file__], stdin=subprocess.PIPE, start_new_session=True
    )
    assert dog.stdin is not None
    atexit.register(dog.wait)
    atexit.register(dog.stdin.close)  # the last one that is registered runs first
    return dog.stdin.fileno()


def watch() -> None:
    left: dict[tuple[str, str], None] = {}
    for line in sys.stdin:
        word, kind, what = line.rstrip("\n").split(" ", 2)
        if word == "begun":
            left[kind, what] = None
        else:
            left.pop((kind, what), None)
    for kind, what in reversed(left):
        END[kind](what)


def _kill(process_id: str) -> None:
    with suppress(ProcessLookupError):
        os.kill(int(process_id), signal.SIGKILL)


def _unmount(folder: str) -> None:
    """Lazily: a process that was just killed may have a file open for a moment."""
    subprocess.run(["umount", "--lazy", folder], check=False)  # noqa: S607 - the system's


END = {PROCESS: _kill, MOUNT: _unmount, FOLDER: lambda path: shutil.rmtree(path, True)}

if __name__ == "__main__":
    watch()
