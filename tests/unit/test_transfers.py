"""Claims about transfers that need no server: turns, silence, full disks, busy backbones."""

import asyncio
import hashlib
import io
import tempfile
from dataclasses import replace

import numpy as np
import pytest

from exemplar_server.core import transfers as module
from exemplar_server.core.exemplars import Exemplar, SupportSet
from exemplar_server.core.support_set_file import SupportSetWriter
from exemplar_server.core.transfers import AT_ONCE, Exported, ImportOptions, Transfers
from exemplar_server.errors import (
    DeadlineExceededError,
    InvalidInputError,
    OverloadedError,
    RevisionNotReachedError,
    StoreUnavailableError,
    UndecodableImageError,
)
from fakes import BAD_IMAGE, DIM, TENANT, FakeEmbedder, once, support_set, unit_rows
from service_calls import CALL, Service, image_of

ROWS_ND = unit_rows(np.random.default_rng(0), 5)


class FakeTransferStore:
    """Implements core.transfers.TransferStore: one support set goes out, what comes in is kept."""

    def __init__(self):
        self.images = {f"{n}": image_of(n % DIM) for n in range(5)}
        self.taken = {}

    async def walk(self, tenant, name, sink):
        target = support_set(exemplar_count=5)
        sink.begin(target)
        rows = [
            Exemplar(f"{n}", "a", {}, 1, has_image=True, embedding_D=ROWS_ND[n]) for n in range(5)
        ]
        await asyncio.to_thread(sink.take, rows, self.images)
        return target

    async def take_in(self, tenant, name, like, pages, key):
        self.taken[name] = like, [exemplar for page in pages() for exemplar in page]
        return replace(like, name=name, revision=9)


class Overloaded(FakeEmbedder):
    """Has no room the first time."""

    tries = 0

    async def embed(self, tenant, images, deadline):
        self.tries += 1
        if self.tries == 1:
            raise OverloadedError("full", 0.0)
        return await super().embed(tenant, images, deadline)


@pytest.fixture
def stored():
    return FakeTransferStore()


@pytest.fixture
def make(stored):
    def make(embedder=None, most_bytes=2**20):
        service = Service(embedder)
        return service, Transfers(service.store, stored, service.sets, service.cache, most_bytes)

    return make


async def of_bytes(*chunks):
    for chunk in chunks:
        yield chunk


def options(data, name="new", **changed):
    facts = {
        "name": name,
        "size_bytes": len(data),
        "sha256": hashlib.sha256(data).hexdigest(),
        "reembed": False,
        "backbone": "",
        "key": once("ImportSupportSet"),
    }
    return ImportOptions(**(facts | changed))


async def taken(transfers, data, call=CALL, **changed):
    return await transfers.take_in(
        call, options(data, **changed), of_bytes(data), lambda _path, _exemplar: None, 2**20
    )


async def exported(service, transfers):
    await service.create()
    first, *chunks = [part async for part in transfers.export(TENANT, "set", 0)]
    assert isinstance(first, Exported)
    return b"".join(chunks)


async def test_an_export_is_announced_and_then_sent(make):
    service, transfers = make()
    data = await exported(service, transfers)
    parts = [part async for part in transfers.export(TENANT, "set", 0)]
    assert (parts[0].size_bytes, parts[0].sha256) == (len(data), hashlib.sha256(data).hexdigest())


async def test_an_export_waits_for_no_revision_that_is_not_there(make):
    service, transfers = make()
    await service.create()
    with pytest.raises(RevisionNotReachedError):
        await anext(transfers.export(TENANT, "set", 9))


async def test_an_import_shows_no_earlier_support_set_of_its_name(make):
    """Another server ended it: what is held here is of the incarnation before."""
    service, transfers = make()
    data = await exported(service, transfers)
    await service.create("new")
    await service.cache.get(TENANT, "new", 0)
    await service.store.delete(TENANT, "new", expected_revision=None, key=once())
    await taken(transfers, data)
    assert service.cache.peek((TENANT, "new")) is None


async def test_images_are_embedded_anew_when_the_backbone_has_room(make, stored):
    embedder = Overloaded()
    service, transfers = make(embedder)
    made = await taken(transfers, await exported(service, transfers), reembed=True)
    assert isinstance(made, SupportSet)
    assert embedder.tries == 2
    _, exemplars = stored.taken["new"]
    assert [e.image for e in exemplars] == list(stored.images.values())
    for number, exemplar in enumerate(exemplars):
        np.testing.assert_array_equal(exemplar.embedding_D, np.eye(DIM)[number % DIM])


async def test_an_image_that_cannot_be_embedded_refuses_all(make, stored):
    stored.images["3"] = BAD_IMAGE
    service, transfers = make()
    data = await exported(service, transfers)
    with pytest.raises(UndecodableImageError):
        await taken(transfers, data, reembed=True)
    assert stored.taken == {}


async def test_who_sends_nothing_for_long_gives_up_the_turn(make, monkeypatch):
    monkeypatch.setattr(module, "MOST_SILENT_SECONDS", 0.01)

    async def silent():
        await asyncio.Event().wait()
        yield b""

    _, transfers = make()
    with pytest.raises(DeadlineExceededError, match="chunk: expected one within"):
        await transfers.take_in(CALL, options(b"abc"), silent(), None, 1)
    with pytest.raises(InvalidInputError, match="corrupt or incomplete"):
        await taken(transfers, b"abc")


async def held(transfers, tenant):
    """An import that has its turn and goes no further."""
    has_begun = asyncio.Event()

    async def silent():
        has_begun.set()
        await asyncio.Event().wait()
        yield b""

    call = type(CALL)(tenant, CALL.deadline)
    task = asyncio.create_task(transfers.take_in(call, options(b"abc"), silent(), None, 1))
    await has_begun.wait()
    return task


@pytest.mark.parametrize(
    "tenants", [[TENANT], [f"tenant-{number}" for number in range(AT_ONCE)]], ids=["own", "others"]
)
async def test_a_tenant_has_one_transfer_at_a_time_and_all_have_a_few(make, tenants):
    _, transfers = make()
    running = [await held(transfers, tenant) for tenant in tenants]
    with pytest.raises(OverloadedError, match="transfers: expected one a tenant and 4 in all"):
        await taken(transfers, b"abc")
    for task in running:
        task.cancel()
    await asyncio.gather(*running, return_exceptions=True)
    with pytest.raises(InvalidInputError, match="corrupt or incomplete"):
        await taken(transfers, b"abc")


async def test_no_room_for_a_temporary_file_is_told(make, monkeypatch):
    service, transfers = make()
    data = await exported(service, transfers)
    monkeypatch.setattr(tempfile, "tempdir", "/nowhere")
    with pytest.raises(StoreUnavailableError, match="no room for a temporary file"):
        await taken(transfers, data)
    with pytest.raises(StoreUnavailableError, match="no room for a temporary file"):
        await anext(transfers.export(TENANT, "set", 0))


def test_a_writer_leaves_nothing_open():
    file = io.BytesIO()
    with SupportSetWriter(file, 2**20) as writer:
        writer.begin(support_set())
    assert not file.closed
