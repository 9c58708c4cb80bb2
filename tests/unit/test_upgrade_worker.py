"""The worker behind upgrades: waits for callers, and where store or model fail, and ends."""

import asyncio

import pytest

from exemplar_server.backends.sql_store import SqlStore
from exemplar_server.core import upgrade_worker
from exemplar_server.core.upgrades import RUNNING, SWITCHED
from exemplar_server.errors import NotServingError, OverloadedError, StoreUnavailableError
from service_calls import image_of, labelled
from upgrade_calls import UpgradedService

PATIENCE_SECONDS = 60


@pytest.fixture
async def service(tmp_path):
    store = SqlStore(f"sqlite:///{tmp_path}/store.db")
    service = UpgradedService(store)
    await service.create()
    await service.add(labelled("x", image_of(0), "a"), labelled("y", image_of(1), "b"))
    yield service
    await service.cache.close()
    store.close()


class Failing:
    """Calls that raise their errors in turn, then do what `call` does."""

    def __init__(self, call, *errors):
        self.call, self.errors = call, list(errors)

    async def __call__(self, *arguments):
        if self.errors:
            raise self.errors.pop(0)
        return await self.call(*arguments)


async def test_it_goes_through_the_queue_as_a_tenant_that_no_caller_can_be(service):
    tenants = []
    embed = service.new.embed

    async def watched(tenant, images, deadline):
        tenants.append((tenant, len(images)))
        return await embed(tenant, images, deadline)

    service.new.embed = watched
    await service.upgrade()
    assert tenants == [("", 1), ("", 1)]


async def test_it_embeds_nothing_while_callers_images_are_in_the_house(service):
    service.busy = True
    await service.start()
    working = asyncio.create_task(service.worker.work())
    for _ in range(100):
        await asyncio.sleep(0)
    assert service.new.seen == []
    service.busy = False
    await working
    await service.work()
    assert (await service.get()).state == SWITCHED


async def test_a_server_that_is_never_idle_ends_its_upgrades_slowly(service, monkeypatch):
    monkeypatch.setattr(upgrade_worker, "SLOWEST_SECONDS", 0.01)
    service.busy = True
    assert (await service.upgrade()).state == SWITCHED


async def test_a_full_queue_is_tried_again(service):
    service.new.embed = Failing(service.new.embed, OverloadedError("full", 0.0))
    assert (await service.upgrade()).state == SWITCHED


@pytest.mark.parametrize("error", [NotServingError("stopped"), StoreUnavailableError("full disk")])
async def test_what_fails_outside_of_the_images_is_waited_for(service, error):
    service.upgrade_store.keep_embeddings = Failing(service.upgrade_store.keep_embeddings, error)
    await service.start()
    while await service.worker.work():
        pass
    assert (await service.get()).state == RUNNING
    await service.work()
    assert (await service.get()).state == SWITCHED


async def test_a_fault_of_ours_ends_neither_the_worker_nor_the_upgrade(service):
    service.upgrade_store.pending = Failing(service.upgrade_store.pending, RuntimeError("a bug"))
    await service.start()
    assert not await service.worker.work()
    await service.work()
    assert (await service.get()).state == SWITCHED


async def test_where_the_store_cannot_be_read_it_waits(service):
    jobs = service.upgrade_store.upgrade_jobs
    service.upgrade_store.upgrade_jobs = Failing(jobs, StoreUnavailableError("gone"))
    await service.start()
    assert not await service.worker.work()
    await service.work()
    assert (await service.get()).state == SWITCHED


async def test_running_it_wakes_up_when_told_and_ends_when_cancelled(service):
    running = asyncio.create_task(service.worker.run())
    await service.start()
    async with asyncio.timeout(PATIENCE_SECONDS):
        while (await service.get()).state != SWITCHED:
            pass
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running


async def test_a_backbone_that_does_not_run_here_is_left_to_other_servers(service):
    await service.start()
    del service.worker._embedders[service.new.backbone.manifest.fingerprint]  # noqa: SLF001
    assert not await service.worker.work()
    assert service.worker.job_count == 1
