"""Numbers of a run: JSON lines always, TensorBoard where it is installed.

The only file that knows TensorBoard.
"""

from __future__ import annotations

import importlib
import importlib.util
import json
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from exemplar_training.errors import FitError
from exemplar_training.files import replace_file

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

FILE = "metrics.jsonl"
SPEED = {"images_per_second", "wall_seconds", "processor_seconds"}  # what no seed fixes


class Metrics:
    """The log of a run. Used by the main process only."""

    def __init__(self, path: Path, tensorboard: Any) -> None:
        self._path = path
        self._tensorboard = tensorboard

    def write(self, step: int, numbers: Mapping[str, float]) -> None:
        """One line, written when this returns. `step` counts the steps that were made.

        Raises:
            FitError: the file system refuses.
        """
        try:
            with self._path.open("a", encoding="utf-8") as lines:
                lines.write(json.dumps({"step": step, **numbers}) + "\n")
            if self._tensorboard is not None:
                for name, value in numbers.items():
                    self._tensorboard.add_scalar(name, value, step)
        except OSError as error:
            raise FitError(f"{FILE}: expected room for another line, got {error}") from error


@contextmanager
def metrics(folder: Path, step: int) -> Iterator[Metrics]:
    """The log of the run in `folder`, which goes on at `step`: later lines are dropped."""
    path = folder / FILE
    replace_file(path, "".join(_until(path, step)).encode())
    tensorboard = _tensorboard(folder, step)
    try:
        yield Metrics(path, tensorboard)
    finally:
        if tensorboard is not None:
            tensorboard.close()


def read(folder: Path) -> list[dict[str, float]]:
    """All lines of a run's log; a last line that was cut off is left out."""
    return [json.loads(line) for line in _whole(folder / FILE)]


def _until(path: Path, step: int) -> list[str]:
    return [line for line in _whole(path) if json.loads(line)["step"] <= step]


def _whole(path: Path) -> list[str]:
    if not path.is_file():
        return []
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    return [line for line in lines if line.endswith("\n")]


def _tensorboard(folder: Path, step: int) -> Any:
    """A writer that hides what it wrote after `step`; None where TensorBoard is missing."""
    if importlib.util.find_spec("tensorboard") is None:
        return None
    library: Any = importlib.import_module("torch.utils.tensorboard")
    return library.SummaryWriter(str(folder / "tensorboard"), purge_step=step + 1)
