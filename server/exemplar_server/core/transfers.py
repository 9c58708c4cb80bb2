"""Support sets leave the server as files and come into it from files, through temporary files.

Nothing holds a whole support set in memory. An import is visible when it is whole.
"""

from __future__ import annotations

import asyncio
import hashlib
import tempfile
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, BinaryIO, Protocol

import numpy as np

from exemplar_server.core.archive import CHUNK_BYTES, sha256_of
from exemplar_server.core.contents import usable
from exemplar_server.core.support_set_file import SupportSetWriter
from exemplar_server.core.support_set_reading import SupportSetFile
from exemplar_server.core.turns import Turns
from exemplar_server.errors import (
    AlreadyExistsError,
    DeadlineExceededError,
    FingerprintMismatchError,
    InvalidInputError,
    LimitExceededError,
    NotFoundError,
    OverloadedError,
    StoreUnavailableError,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence

    from exemplar_server.core.embedder import Embedder
    from exemplar_server.core.exemplars import Exemplar, NewExemplar, RequestKey, SupportSet
    from exemplar_server.core.ports import Store
    from exemplar_server.core.snapshot_cache import SnapshotCache
    from exemplar_server.core.support_set_reading import Check
    from exemplar_server.core.support_sets import Call, SupportSets

    # A new reading of all exemplars, a few at a time, each time that it is called.
    Pages = Callable[[], Iterator[Sequence[NewExemplar]]]

# Transfers at once, each of which may take a temporary file and a thread of the store.
AT_ONCE = 4
ONE_MORE = f"transfers: expected one a tenant and {AT_ONCE} in all at a time, got one more"
MOST_SILENT_SECONDS = 60.0
# Images that are embedded anew at a time.
EMBEDDED_AT_ONCE = 32


class Sink(Protocol):
    """Takes a whole support set, on the store's threads, one call after the other."""

    def begin(self, support_set: SupportSet) -> None:
        """What came before is void."""
        ...

    def take(self, exemplars: Sequence[Exemplar], images: Mapping[str, bytes]) -> None:
        """The next exemplars by id, with embeddings, and those of their images that are kept."""
        ...


class TransferStore(Protocol):
    """The store's part in transfers. Raises what Store raises."""

    async def walk(self, tenant: str, name: str, sink: Sink) -> SupportSet:
        """Hands all of a support set to `sink`, of one revision, which it returns."""
        ...

    async def take_in(
        self, tenant: str, name: str, like: SupportSet, pages: Pages, key: RequestKey
    ) -> SupportSet:
        """A new support set of `like`'s embedding space with all exemplars of `pages`, or none.

        Raises:
            AlreadyExistsError: the name is taken.
            QuotaExceededError: the tenant would store more than it may.
        """
        ...


@dataclass(frozen=True)
class Exported:
    """A file that is ready to be sent."""

    support_set: SupportSet
    size_bytes: int
    sha256: str


@dataclass(frozen=True)
class ImportOptions:
    """What to make of a file: `backbone` embeds its images anew where `reembed` says so."""

    name: str
    size_bytes: int
    sha256: str
    reembed: bool
    backbone: str
    key: RequestKey


class Transfers:
    """One transfer a tenant at a time. One event loop only.

    Both methods raise OverloadedError while the tenant has a transfer under way, and
    StoreUnavailableError where there is no room for a temporary file.
    """

    def __init__(
        self,
        store: Store,
        transfers: TransferStore,
        sets: SupportSets,
        cache: SnapshotCache,
        most_bytes: int,
    ) -> None:
        self._store = store
        self._cache = cache
        self._transfers = transfers
        self._sets = sets
        self._most_bytes = most_bytes
        self._turns = Turns(ONE_MORE, AT_ONCE)

    async def export(
        self, tenant: str, name: str, min_revision: int
    ) -> AsyncIterator[Exported | bytes]:
        """What comes, then its bytes."""
        (await self._store.get(tenant, name)).check_reached(min_revision)
        with self._turns.take(tenant), _temporary_file() as file:
            with SupportSetWriter(file, self._most_bytes) as writer:
                support_set = await self._transfers.walk(tenant, name, writer)
                size = await asyncio.to_thread(writer.finish)
            yield Exported(support_set, size, await asyncio.to_thread(sha256_of, file, size))
            file.seek(0)
            while chunk := await asyncio.to_thread(file.read, CHUNK_BYTES):
                yield chunk

    async def take_in(
        self,
        call: Call,
        options: ImportOptions,
        chunks: AsyncIterator[bytes],
        check: Check,
        image_bytes: int,
    ) -> SupportSet:
        """Makes a support set of the bytes in `chunks`; see SupportSetFile for what is refused.

        Raises:
            AlreadyExistsError: the name is taken.
            FingerprintMismatchError: no backbone of the file's runs here, or its images are to be
                embedded anew and some are missing.
            LimitExceededError: the file has more bytes than it may.
        """
        if await self._store.replay(call.tenant, options.key) is not None:
            return await self._store.get(call.tenant, options.name)
        await self._check_free(call.tenant, options.name)
        self._check_size(options.size_bytes)
        with self._turns.take(call.tenant), _temporary_file() as file, _temporary_file() as vectors:
            await _receive(file, options, chunks)
            found = await asyncio.to_thread(SupportSetFile, file, check, image_bytes)
            like, pages = await self._embedded(call, options, found, vectors)
            made = await self._transfers.take_in(
                call.tenant, options.name, like, pages, options.key
            )
        # Another server may have ended a support set of the name that is here yet.
        await self._cache.catch_up(call.tenant, options.name, made.revision)
        return made

    async def _embedded(
        self, call: Call, options: ImportOptions, found: SupportSetFile, vectors: BinaryIO
    ) -> tuple[SupportSet, Pages]:
        """In which embedding space, and the exemplars in it."""
        if not options.reembed:
            self._check_running(found)
            return found.support_set, found.pages
        embedder = self._sets.embedders.named(options.backbone)
        _check_pictured(found)
        pages = found.pages()
        while (page := await asyncio.to_thread(next, pages, None)) is not None:
            for start in range(0, len(page), EMBEDDED_AT_ONCE):
                rows = await _rows(call, embedder, page[start : start + EMBEDDED_AT_ONCE])
                await asyncio.to_thread(vectors.write, rows)
        manifest = embedder.backbone.manifest
        like = replace(
            found.support_set,
            backbone=manifest.name,
            fingerprint=manifest.fingerprint,
            dim=manifest.dim,
        )
        return like, lambda: _with_vectors(found.pages(), vectors, manifest.dim)

    def _check_running(self, found: SupportSetFile) -> None:
        try:
            self._sets.embedders.of(found.support_set)
        except FingerprintMismatchError as error:
            raise FingerprintMismatchError(
                f"{error}: run that backbone, or import with reembed: "
                f"{found.pictured_count} of {found.support_set.exemplar_count} exemplars "
                "have the image that it needs"
            ) from error

    async def _check_free(self, tenant: str, name: str) -> None:
        try:
            await self._store.get(tenant, name)
        except NotFoundError:
            return
        raise AlreadyExistsError(f"there is a support set {name!r} already")

    def _check_size(self, size_bytes: int) -> None:
        if size_bytes > self._most_bytes:
            raise LimitExceededError(
                f"size_bytes: expected up to {self._most_bytes} (EXEMPLAR_TRANSFER_BYTES), "
                f"got {size_bytes}"
            )


@contextmanager
def _temporary_file() -> Iterator[BinaryIO]:
    """No name leads to it, and nothing of it is left when it is closed."""
    try:
        with tempfile.TemporaryFile() as file:
            opened: Any = file
            yield opened
    except OSError as error:
        raise StoreUnavailableError(f"no room for a temporary file: {error.strerror}") from error


async def _receive(file: BinaryIO, options: ImportOptions, chunks: AsyncIterator[bytes]) -> None:
    digest, size = hashlib.sha256(), 0
    while (chunk := await _next(chunks)) is not None:
        size += len(chunk)
        if size > options.size_bytes:
            break
        digest.update(chunk)
        await asyncio.to_thread(file.write, chunk)
    if size != options.size_bytes or digest.hexdigest() != options.sha256:
        raise InvalidInputError(
            f"chunk: expected {options.size_bytes} bytes with SHA-256 {options.sha256[:12]}..., "
            f"got {size} or more with {digest.hexdigest()[:12]}...: was the file cut or changed?"
        )
    await asyncio.to_thread(file.flush)


async def _next(chunks: AsyncIterator[bytes]) -> bytes | None:
    """None at the end. Who sends nothing for long keeps others from their turn."""
    try:
        async with asyncio.timeout(MOST_SILENT_SECONDS):
            return await anext(chunks, None)
    except TimeoutError:
        raise DeadlineExceededError(
            f"chunk: expected one within {MOST_SILENT_SECONDS:g} s, got none"
        ) from None


def _check_pictured(found: SupportSetFile) -> None:
    missing = found.support_set.exemplar_count - found.pictured_count
    if missing:
        raise FingerprintMismatchError(
            f"reembed: expected an image of every exemplar in the file, got none of {missing} "
            f"of {found.support_set.exemplar_count}"
        )


async def _rows(call: Call, embedder: Embedder, exemplars: Sequence[NewExemplar]) -> bytes:
    """The embeddings of the images, one after the other. Waits for its turn when there is none."""
    images = [exemplar.image for exemplar in exemplars if exemplar.image is not None]
    while True:
        try:
            embedded = usable(await embedder.embed(call.tenant, images, call.deadline))
        except OverloadedError as error:
            await asyncio.sleep(error.retry_after_seconds)
        else:
            return b"".join(row_D.astype("<f4").tobytes() for row_D in embedded)


def _with_vectors(
    pages: Iterator[Sequence[NewExemplar]], vectors: BinaryIO, dim: int
) -> Iterator[list[NewExemplar]]:
    vectors.seek(0)
    for page in pages:
        rows_ND = np.frombuffer(vectors.read(4 * dim * len(page)), "<f4").reshape(len(page), dim)
        yield [replace(e, embedding_D=row_D) for e, row_D in zip(page, rows_ND, strict=True)]
