"""What a test process began ends with it, also where it is killed."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import watchdog

TESTS = Path(watchdog.__file__).parent
# Starts a program that would run for an hour, and is killed before it can end it.
RUNNER = """
import os, signal, subprocess, sys
sys.path.insert(0, sys.argv[1])
import watchdog
os.mkdir(sys.argv[3])
watchdog.begun(watchdog.FOLDER, sys.argv[3])
program = subprocess.Popen(["sleep", "3600"], pass_fds=[int(sys.argv[2])])
watchdog.begun(watchdog.PROCESS, program.pid)
if sys.argv[4] == "ended":
    program.kill()
    program.wait()
    watchdog.ended(watchdog.PROCESS, program.pid)
os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.parametrize("program", ["left", "ended"])
def test_what_a_killed_process_began_is_ended(tmp_path, program):
    reads, writes = os.pipe()
    folder = tmp_path / "folder"
    # The watchdog has our standard error, too, to its end.
    runner = subprocess.Popen(
        [sys.executable, "-c", RUNNER, TESTS, str(writes), folder, program],
        pass_fds=[writes],
        stderr=subprocess.PIPE,
    )
    os.close(writes)
    with os.fdopen(reads, "rb") as pipe:
        assert pipe.read() == b""  # which ends when the last process that has it does
    assert runner.communicate()[1] == b""
    assert runner.returncode == -9
    assert not folder.exists()
