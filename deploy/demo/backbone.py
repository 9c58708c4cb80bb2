"""The backbone that the demo's server runs: built once, then found."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from console import DemoError, step

NAME = "lite0"


def build_if_missing(root: Path) -> None:
    """Exports lite0 into `root`; some 20 seconds, once."""
    if any(root.glob(f"{NAME}/*/manifest.json")):
        step(f"backbone {NAME} is there, in {root}")
        return
    step(f"building the backbone {NAME}, once ...")
    command = [program("exemplar-train"), "export", "--backbone", NAME, "--out", str(root)]
    done = subprocess.run(command, check=False)  # noqa: S603 - our own program
    if done.returncode:
        raise DemoError(f"the backbone: {' '.join(command)} failed, see above")


def program(name: str) -> str:
    """One of the project's commands, beside the Python that runs this."""
    path = Path(sys.executable).with_name(name)
    if not path.is_file():
        raise DemoError(f"{name}: expected it at {path}: pip install -e '.[training,demo]'")
    return str(path)
