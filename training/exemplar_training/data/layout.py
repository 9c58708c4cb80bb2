"""How a set lies on disk: ROOT/NAME/PART/CLASS/FILE, and data.json, which says what that is.

Each part is an ImageFolder of torchvision's. A set appears by one rename: it is whole or not there.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
from collections import Counter
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from exemplar_training.errors import DataError
from exemplar_training.files import replace_directory

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

DEFAULT_ROOT = Path("~/.cache/exemplar/data")
DESCRIPTION_FILE = "data.json"
FORMAT = 1

PartKind = Literal["splits", "sources"]


@dataclass(frozen=True)
class SetImage:
    """One image on its way to disk. `content` is an encoded file, `file` its name."""

    part: str
    class_name: str
    file: str
    content: bytes

    @property
    def path(self) -> str:
        """Relative to the set's folder, with slashes."""
        return f"{self.part}/{self.class_name}/{self.file}"


@dataclass(frozen=True)
class Description:
    """What data.json says. `counts` is part -> class name -> images, both in sorted order.

    `origin` names package and version of what the images came from or were drawn with.
    `files_sha256` is over the lines "sha256  path" of all images, sorted by path.
    """

    name: str
    parts: PartKind
    origin: list[str]
    license: str
    counts: dict[str, dict[str, int]]
    files_sha256: str
    format: int = FORMAT

    @property
    def image_count(self) -> int:
        return sum(sum(classes.values()) for classes in self.counts.values())

    @property
    def class_names(self) -> tuple[str, ...]:
        """Of all parts, sorted: an index into it is a class_id, as in torchvision's ImageFolder."""
        return tuple(sorted({name for classes in self.counts.values() for name in classes}))


def read_description(folder: Path) -> Description:
    """Raises DataError where data.json is missing, broken or of another format."""
    path = folder / DESCRIPTION_FILE
    try:
        description = Description(**json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError) as error:
        raise DataError(
            f"{path}: expected the description of a fetched set, got {error}"
        ) from error
    if description.format != FORMAT:
        raise DataError(f"{path}: expected format {FORMAT}, got {description.format}")
    return description


@dataclass(frozen=True)
class Facts:
    """What data.json says that the images do not."""

    name: str
    parts: PartKind
    origin: list[str]
    license: str


def write_set(root: Path, facts: Facts, images: Iterable[SetImage]) -> Description:
    """Writes the images to a hidden sibling folder and renames it to ROOT/NAME, replacing that.

    Raises:
        DataError: the file system refuses, or the same set is being written by another process.
    """
    with _scratch_folder(root, facts.name) as scratch:
        hashes, counts = _write_images(scratch, images)
        description = Description(
            facts.name, facts.parts, facts.origin, facts.license, counts, _hash_of(hashes)
        )
        text = json.dumps(asdict(description), indent=2) + "\n"
        (scratch / DESCRIPTION_FILE).write_text(text, encoding="utf-8")
        os.sync()  # once: an fsync for each of 60,000 small files takes minutes
        replace_directory(scratch, root / facts.name)
    return description


def files_sha256(folder: Path, description: Description) -> str:
    """The hash of what is on disk now; reads every file of the described parts."""
    hashes = {}
    for part in description.counts:
        for path in (folder / part).rglob("*"):
            if path.is_file():
                content = path.read_bytes()
                hashes[path.relative_to(folder).as_posix()] = hashlib.sha256(content).hexdigest()
    return _hash_of(hashes)


def _hash_of(hashes: dict[str, str]) -> str:
    lines = "".join(f"{hashes[path]}  {path}\n" for path in sorted(hashes))
    return hashlib.sha256(lines.encode()).hexdigest()


def _write_images(
    folder: Path, images: Iterable[SetImage]
) -> tuple[dict[str, str], dict[str, dict[str, int]]]:
    hashes: dict[str, str] = {}
    for image in images:
        path = folder / image.path
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(image.content)
        hashes[image.path] = hashlib.sha256(image.content).hexdigest()
    counts: dict[str, dict[str, int]] = {}
    for (part, class_name), count in sorted(Counter(map(_part_and_class, hashes)).items()):
        counts.setdefault(part, {})[class_name] = count
    return hashes, counts


def _part_and_class(path: str) -> tuple[str, str]:
    part, class_name, _ = path.split("/")
    return part, class_name


@contextmanager
def _scratch_folder(root: Path, name: str) -> Iterator[Path]:
    """An empty hidden sibling of ROOT/NAME, gone afterwards unless it was moved."""
    scratch = root / f".{name}.partial"
    try:
        with _only_writer(root, name):
            shutil.rmtree(scratch, ignore_errors=True)  # of a process that was killed
            scratch.mkdir()
            try:
                yield scratch
            finally:
                shutil.rmtree(scratch, ignore_errors=True)
    except OSError as error:
        raise DataError(f"--root: expected a writable directory, got {error}") from error


@contextmanager
def _only_writer(root: Path, name: str) -> Iterator[None]:
    """The kernel lets go of the lock when its process ends, however that happens."""
    root.mkdir(parents=True, exist_ok=True)
    with (root / f".{name}.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise DataError(f"{name}: another process is fetching it into {root}") from error
        yield
