"""Whole support sets read out of the store and put into it, on each dialect."""

import asyncio
import io
from datetime import timedelta

import pytest

from exemplar_server.backends import sql_staging, sql_transfers
from exemplar_server.backends.sql_store import SqlStore
from exemplar_server.backends.sql_transfers import SqlTransfers
from exemplar_server.core.limits import Quotas
from exemplar_server.core.support_set_file import SupportSetWriter
from exemplar_server.core.support_set_reading import SupportSetFile
from exemplar_server.errors import AlreadyExistsError, QuotaExceededError
from fakes import DIM, TENANT, exemplar, once, retried
from store_calls import Calls

VECTOR_BYTES = 4 * DIM


@pytest.fixture
def store(sql_store):
    return sql_store


@pytest.fixture
def calls(store):
    return Calls(store)


@pytest.fixture
def transfers(store):
    return SqlTransfers(store, Quotas())


async def filled(calls, count=300, name="set", *, keep_images=True):
    """More exemplars than a page has, every third with an image."""
    target = await calls.create(name, keep_images=keep_images)
    new = [
        exemplar(f"{n:04}", f"label {n % 5}", n, bytes(n) if n % 3 else None, {"n": str(n)})
        for n in range(count)
    ]
    for start in range(0, count, 300):
        await calls.add(target, *new[start : start + 300])
    return await calls.get(name)


async def exported(transfers, name="set"):
    file = io.BytesIO()
    with SupportSetWriter(file, 2**30) as writer:
        await transfers.walk(TENANT, name, writer)
        writer.finish()
    return file


def opened(file):
    return SupportSetFile(file, lambda _path, _exemplar: None, 10_000)


async def imported(transfers, file, name="again", key=None, pages=None):
    found = opened(file)
    key = key or once("ImportSupportSet")
    return await transfers.take_in(TENANT, name, found.support_set, pages or found.pages, key)


async def content(calls, name):
    """Everything of a support set but its name, its time and its revisions."""
    target = await calls.get(name)
    listed = await calls.listed(target, embeddings=True)
    images = await calls.store.images(target.incarnation, [e.exemplar_id for e in listed])
    rows = [(e.exemplar_id, e.label, e.metadata, e.embedding_D.tobytes()) for e in listed]
    described = (target.fingerprint, target.backbone, target.dim, target.keep_images)
    return described, target.exemplar_count, rows, images


async def test_what_goes_out_comes_in(calls, transfers):
    before = await filled(calls)
    made = await imported(transfers, await exported(transfers))
    assert made == await calls.get("again")
    assert made.incarnation != before.incarnation
    assert await content(calls, "again") == await content(calls, "set")
    assert await calls.label_counts("again") == await calls.label_counts("set")


async def test_images_that_were_kept_come_in_where_none_are_kept_any_more(calls, transfers):
    await filled(calls, 3)
    file = await exported(transfers)
    like = opened(file).support_set
    like = type(like)(**(vars(like) | {"keep_images": False}))
    await transfers.take_in(TENANT, "again", like, opened(file).pages, once("ImportSupportSet"))
    described, *rest = await content(calls, "again")
    assert not described[3]
    assert rest == list((await content(calls, "set"))[1:])


async def test_the_same_support_set_makes_the_same_bytes(calls, transfers):
    await filled(calls)
    first, second = [await exported(transfers) for _ in range(2)]
    assert first.getvalue() == second.getvalue()


async def test_an_import_is_counted_as_any_addition(calls, transfers):
    await filled(calls, 30)
    await imported(transfers, await exported(transfers))
    await calls.delete("set")
    query = "SELECT exemplar_count, stored_bytes FROM tenant WHERE name = 'tenant'"
    counted = await calls.store.read(lambda c: c.exec_driver_sql(query).one())
    assert tuple(counted) == (30, 30 * VECTOR_BYTES + sum(n for n in range(30) if n % 3))


async def test_a_retried_import_makes_one_support_set(calls, transfers):
    await filled(calls, 3)
    file, key = await exported(transfers), retried("ImportSupportSet")
    first = await imported(transfers, file, key=key)
    assert await imported(transfers, file, key=key) == first


async def test_a_taken_name_is_refused(calls, transfers):
    before = await filled(calls, 3)
    with pytest.raises(AlreadyExistsError, match="'set'"):
        await imported(transfers, await exported(transfers), "set")
    assert await calls.get() == before


async def test_an_import_above_a_quota_leaves_nothing(url, calls, transfers):
    await filled(calls, 300)
    file = await exported(transfers)
    bounded = SqlTransfers(calls.store, Quotas(exemplars=599))
    with pytest.raises(QuotaExceededError, match="got 600"):
        await imported(bounded, file)
    assert [s.name for s in await calls.store.page(TENANT, "", 10)] == ["set"]
    assert await orphans(calls) == 0
    await imported(SqlTransfers(calls.store, Quotas(exemplars=600)), file)


async def orphans(calls):
    query = "SELECT count(*) FROM {} WHERE incarnation NOT IN (SELECT incarnation FROM support_set)"
    total = 0
    for table in ("exemplar", "embedding", "image"):
        total += await calls.store.read(
            lambda c, table=table: c.exec_driver_sql(query.format(table)).scalar()
        )
    return total


async def test_an_import_that_fails_midway_leaves_nothing(calls, transfers):
    await filled(calls)
    file, key = await exported(transfers), retried("ImportSupportSet")

    def cut():
        yield next(opened(file).pages())
        raise ValueError("the disk is gone")

    with pytest.raises(ValueError, match="the disk is gone"):
        await imported(transfers, file, key=key, pages=cut)
    assert await orphans(calls) == 0
    assert await calls.store.replay(TENANT, key) is None
    await imported(transfers, file, key=key)


async def interrupted(store, file):
    """An import whose server is killed after a page."""
    found = opened(file)
    page = next(found.pages())
    staged = await store.write(lambda c: sql_staging.begin(c, found.support_set))
    await store.write(lambda c: sql_staging.add(c, TENANT, staged, page, Quotas()))
    store.close()


async def unfinished(store):
    return len(await store.page(sql_staging.NOBODY, "", 10))


async def test_nobody_sees_what_a_killed_import_left_and_it_is_swept(url, calls, transfers):
    await filled(calls)
    await interrupted(calls.store, await exported(transfers))
    store = SqlStore(url)
    assert [s.name for s in await store.page(TENANT, "", 10)] == ["set"]
    assert await unfinished(store) == 1
    again = SqlTransfers(store, Quotas())
    await again.sweep_at_start()
    assert await unfinished(store) == (0 if url.startswith("sqlite") else 1)  # another replica's?
    await again.sweep(timedelta())
    assert await unfinished(store) == 0
    assert await orphans(Calls(store)) == 0
    store.close()


async def test_others_write_while_an_import_goes_on(calls, transfers):
    """Each page is a change of its own: nobody waits for the whole import."""
    target = await filled(calls)
    file = await exported(transfers)
    loop, revisions = asyncio.get_running_loop(), []

    def pages():
        for page in opened(file).pages():
            adding = calls.add(target, f"z{len(revisions)}")
            added = asyncio.run_coroutine_threadsafe(adding, loop).result()
            revisions.append(added.revision)
            yield page

    await imported(transfers, file, pages=pages)
    assert revisions == [target.revision + 1, target.revision + 2]


class Meddling:
    """A sink that changes the support set while it is walked, a number of times."""

    def __init__(self, calls, times, inner):
        self.calls, self.left, self.inner = calls, times, inner
        self.loop = asyncio.get_running_loop()
        self.begun = []

    def begin(self, support_set):
        self.begun.append(support_set.revision)
        self.inner.begin(support_set)

    def take(self, exemplars, images):
        self.inner.take(exemplars, images)
        if self.left and exemplars[0].exemplar_id == "0000":
            self.left -= 1
            adding = self.calls.add(self.target, f"z{self.left}")
            asyncio.run_coroutine_threadsafe(adding, self.loop).result()


@pytest.mark.parametrize("times", [1, sql_transfers.PAGED_TRIES, sql_transfers.PAGED_TRIES + 1])
async def test_an_export_has_one_revision_while_writers_go_on(calls, transfers, times):
    target = await filled(calls)
    file = io.BytesIO()
    with SupportSetWriter(file, 2**30) as writer:
        sink = Meddling(calls, times, writer)
        sink.target = target
        walked = await transfers.walk(TENANT, "set", sink)
        writer.finish()
    found = opened(file)
    assert sink.begun == [target.revision + n for n in range(len(sink.begun))]
    assert walked.revision == sink.begun[-1] == found.support_set.revision
    ids = [e.exemplar_id for page in found.pages() for e in page]
    assert len(ids) == walked.exemplar_count == 300 + len(sink.begun) - 1


async def test_images_are_read_a_few_at_a_time(calls, transfers, monkeypatch):
    monkeypatch.setattr(sql_transfers, "IMAGE_BYTES", 1000)
    await filled(calls)
    most = []

    class Sink:
        def begin(self, support_set):
            """Nothing is to be forgotten."""

        def take(self, exemplars, images):
            most.append(sum(map(len, images.values())))

    await transfers.walk(TENANT, "set", Sink())
    assert max(most) <= 1000
    assert sum(most) == sum(n for n in range(300) if n % 3)
