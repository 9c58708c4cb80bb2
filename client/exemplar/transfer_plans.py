"""Plans that take support sets into files and out of them. A plan is explained in calls.py."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path

from exemplar.answers import SupportSet, support_set_from_pb
from exemplar.calls import (
    EXPORT_SUPPORT_SET,
    IMPORT_SUPPORT_SET,
    Plan,
    StreamingCall,
    UploadingCall,
    work,
)
from exemplar.errors import ExemplarError, ServerError
from exemplar.memory import Memory, known_limits, learning
from exemplar.progress import ProgressBar
from exemplar.support_set_plans import new_request_id
from exemplar.v1 import transfer_pb2

_CHUNK_BYTES = 2**20
_MIB = 2**20


def export_support_set(
    memory: Memory,
    request: transfer_pb2.ExportSupportSetRequest,
    path: str | os.PathLike[str],
    progress: bool,
    timeout_seconds: float,
) -> Plan[SupportSet]:
    """The file has its name when it is whole: before, there is none, or the one of before."""
    download = yield from work(lambda: _Download(Path(path), progress))
    try:
        yield from learning(memory, _received(request, download, timeout_seconds))
        found = yield from work(download.finish)
    finally:
        download.close()
    memory.saw(request.support_set, found.revision)
    return found


def _received(
    request: transfer_pb2.ExportSupportSetRequest, download: _Download, timeout_seconds: float
) -> Plan[None]:
    yield StreamingCall(EXPORT_SUPPORT_SET, request, download.take, timeout_seconds)


class _Download:
    """A file that comes, beside the place where it will be."""

    def __init__(self, path: Path, progress: bool) -> None:
        self._path = path
        self._is_wanted = progress
        self._part = path.with_name(f".{path.name}.{new_request_id()}.part")
        self._file = self._part.open("xb")
        self._digest = hashlib.sha256()
        self._announced = transfer_pb2.ExportedFile()
        self._bar = ProgressBar("exported MiB", 0, False)
        self._size = 0

    def take(self, response: transfer_pb2.ExportSupportSetResponse) -> None:
        if response.HasField("file"):
            self._announced = response.file
            total = _mebibytes(response.file.size_bytes)
            self._bar = ProgressBar("exported MiB", total, self._is_wanted)
            return
        before = self._size
        self._size += len(response.chunk)
        self._file.write(response.chunk)
        self._digest.update(response.chunk)
        self._bar.advance(self._size // _MIB - before // _MIB)

    def finish(self) -> SupportSet:
        if self._digest.hexdigest() != self._announced.sha256:
            raise ServerError(f"{self._path}: what came is not what was announced: try again")
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()
        self._part.replace(self._path)
        return support_set_from_pb(self._announced.support_set)

    def close(self) -> None:
        self._bar.close()
        self._file.close()
        self._part.unlink(missing_ok=True)


def import_support_set(
    memory: Memory,
    path: str | os.PathLike[str],
    options: transfer_pb2.ImportOptions,
    progress: bool,
    timeout_seconds: float,
) -> Plan[SupportSet]:
    yield from known_limits(memory)  # with the epoch that revisions are of
    upload = yield from work(lambda: _Upload(Path(path), options, progress))
    responses: list[transfer_pb2.ImportSupportSetResponse] = []
    try:
        yield UploadingCall(
            IMPORT_SUPPORT_SET, upload.requests(), responses.append, timeout_seconds
        )
    except ExemplarError as error:
        if upload.failure:
            raise upload.failure from error
        raise
    finally:
        upload.close()
    made = support_set_from_pb(responses[0].support_set)
    memory.forget(made.name)
    memory.saw(made.name, made.revision)
    return made


class _Upload:
    """The requests of one import.

    `failure` is what reading the file raised: grpc, which advances the iterator, would log and
    hide it.
    """

    def __init__(self, path: Path, options: transfer_pb2.ImportOptions, progress: bool) -> None:
        with path.open("rb") as file:
            options.sha256 = hashlib.file_digest(file, "sha256").hexdigest()
            options.size_bytes = file.tell()
        self._path = path
        options.request_id = options.request_id or new_request_id()
        self._options = options
        self._bar = ProgressBar("imported MiB", _mebibytes(options.size_bytes), progress)
        self.failure: Exception | None = None

    def requests(self) -> Iterator[transfer_pb2.ImportSupportSetRequest]:
        yield transfer_pb2.ImportSupportSetRequest(options=self._options)
        try:
            with self._path.open("rb") as file:
                while chunk := file.read(_CHUNK_BYTES):
                    yield transfer_pb2.ImportSupportSetRequest(chunk=chunk)
                    self._bar.advance(1)
        except Exception as failure:  # noqa: BLE001  (an error of the file: raised to the caller)
            self.failure = failure
            # The server refuses it.
            yield transfer_pb2.ImportSupportSetRequest()

    def close(self) -> None:
        self._bar.close()


def _mebibytes(size: int) -> int:
    return -(-size // _MIB)
