"""The micro-batcher: fair, work-conserving, and a bad image costs only itself."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exemplar_server.errors import InternalError, UndecodableImageError
from fakes import BAD_IMAGE
from sessions import (
    POISON,
    FakeSession,
    MiscountingSession,
    ask,
    batching,
    behind_a_running_image,
    busy,
    queued,
)


async def test_a_lone_image_runs_at_once():
    session = FakeSession()
    async with batching(session) as batcher:
        embedded = await ask(batcher, 7)
    assert embedded.result.tolist() == [7.0]
    assert session.runs == [[7]]


async def test_images_that_wait_run_together():
    session = FakeSession()
    async with behind_a_running_image(session) as batcher:
        tasks = queued(batcher, ("a", 1), ("a", 2), ("a", 3))
        session.gate.set()
        await asyncio.gather(*tasks)
    assert session.runs == [[0], [1, 2, 3]]


async def test_a_run_never_has_more_images_than_the_micro_batch():
    session = FakeSession()
    async with behind_a_running_image(session, micro_batch=2) as batcher:
        tasks = queued(batcher, *(("a", number) for number in range(1, 6)))
        session.gate.set()
        await asyncio.gather(*tasks)
    assert session.runs == [[0], [1, 2], [3, 4], [5]]


async def test_every_free_session_takes_work():
    sessions = [FakeSession(), FakeSession()]
    async with batching(*sessions, micro_batch=1) as batcher:
        for session in sessions:
            session.gate.clear()
        tasks = [ask(batcher, 1), ask(batcher, 2)]
        await asyncio.gather(*map(busy, sessions))
        for session in sessions:
            session.gate.set()
        await asyncio.gather(*tasks)
    assert sorted(session.runs for session in sessions) == [[[1]], [[2]]]


async def test_one_image_of_a_tenant_overtakes_a_hundred_of_another():
    session = FakeSession()
    async with behind_a_running_image(session, micro_batch=4) as batcher:
        crowd = [("a", number) for number in range(1, 101)]
        tasks = queued(batcher, *crowd, ("b", 200))
        session.gate.set()
        await asyncio.gather(*tasks)
    assert session.runs[1] == [1, 200, 2, 3]


async def test_tenants_take_turns():
    session = FakeSession()
    async with behind_a_running_image(session, micro_batch=6) as batcher:
        asked = [("a", 1), ("a", 2), ("a", 3), ("b", 11), ("b", 12), ("c", 21)]
        tasks = queued(batcher, *asked)
        session.gate.set()
        await asyncio.gather(*tasks)
    assert session.runs[1] == [1, 11, 21, 2, 12, 3]


async def test_an_image_whose_caller_was_cancelled_is_not_run():
    session = FakeSession()
    async with behind_a_running_image(session) as batcher:
        cancelled, kept = queued(batcher, ("a", 1), ("a", 2))
        cancelled.cancel()
        await asyncio.gather(cancelled, return_exceptions=True)
        session.gate.set()
        await kept
    assert session.runs == [[0], [2]]


async def test_a_queue_of_cancelled_images_leaves_the_session_free():
    session = FakeSession()
    async with behind_a_running_image(session) as batcher:
        (cancelled,) = queued(batcher, ("a", 1))
        cancelled.cancel()
        session.gate.set()
        embedded = await ask(batcher, 3)
    assert embedded.result.tolist() == [3.0]
    assert session.runs == [[0], [3]]


async def test_an_image_whose_caller_goes_while_it_runs_costs_the_others_nothing():
    session = FakeSession()
    async with behind_a_running_image(session) as batcher:
        gone, kept = queued(batcher, ("a", 1), ("a", 2))
        session.gate.set()
        gone.cancel()
        assert (await kept).result.tolist() == [2.0]


async def test_a_poison_image_in_a_micro_batch_of_eight_costs_only_itself():
    session = FakeSession()
    async with behind_a_running_image(session) as batcher:
        numbers = [1, 2, 3, POISON, 5, 6, 7, 8]
        tasks = queued(batcher, *(("a", number) for number in numbers))
        session.gate.set()
        results = [embedded.result for embedded in await asyncio.gather(*tasks)]
    failed = [n for n, r in zip(numbers, results, strict=True) if isinstance(r, InternalError)]
    answered = [r[0] for r in results if not isinstance(r, InternalError)]
    assert (failed, answered) == ([POISON], [1, 2, 3, 5, 6, 7, 8])


@pytest.mark.parametrize(
    ("image", "error"),
    [(BAD_IMAGE, UndecodableImageError), (b"", InternalError), (bytes([POISON]), InternalError)],
)
async def test_an_image_that_cannot_be_decoded_or_run_costs_only_itself(image, error):
    session = FakeSession()
    async with behind_a_running_image(session) as batcher:
        failing, kept = batcher.submit("a", image), ask(batcher, 2)
        session.gate.set()
        failed = (await failing).result
        assert (await kept).result.tolist() == [2.0]
    assert isinstance(failed, error)
    assert "secret" not in str(failed)


async def test_images_that_cannot_be_decoded_need_no_run():
    session = FakeSession()
    async with batching(session) as batcher:
        await batcher.submit("a", BAD_IMAGE)
    assert session.runs == []


async def test_a_micro_batch_is_decoded_on_the_threads_it_is_given():
    decoding = ThreadPoolExecutor(1, thread_name_prefix="decode")
    names = []

    def map_on_threads(function, images):
        def decode_and_tell(image):
            names.append(threading.current_thread().name)
            return function(image)

        return decoding.map(decode_and_tell, images)

    with decoding:
        async with batching(FakeSession(), spread=map_on_threads) as batcher:
            await ask(batcher, 1)
    assert names == ["decode_0"]


async def test_a_run_with_too_few_embeddings_fails():
    async with batching(MiscountingSession()) as batcher:
        assert isinstance((await ask(batcher, 1)).result, InternalError)


async def test_a_cancelled_image_leaves_the_queue_at_once():
    session = FakeSession()
    async with behind_a_running_image(session) as batcher:
        gone, _ = queued(batcher, ("a", 1), ("b", 2))
        gone.cancel()
        await asyncio.sleep(0)  # one turn of the loop: the future tells of it
        assert batcher.queue_length == 1


async def test_a_session_goes_on_after_a_failed_run():
    async with batching(FakeSession()) as batcher:
        await ask(batcher, POISON)
        assert (await ask(batcher, 1)).result.tolist() == [1.0]
        assert batcher.is_alive


@settings(deadline=None, max_examples=25)
@given(
    asked=st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 254)), max_size=40),
    sessions=st.integers(1, 3),
    micro_batch=st.integers(1, 9),
)
def test_every_caller_gets_the_embedding_of_its_own_image(asked, sessions, micro_batch):
    made = [FakeSession() for _ in range(sessions)]

    async def embed_all():
        async with batching(*made, micro_batch=micro_batch) as batcher:
            return await asyncio.gather(*(ask(batcher, n, tenant) for tenant, n in asked))

    answers = asyncio.run(embed_all())
    ran = sorted(number for session in made for run in session.runs for number in run)
    assert [a.result[0] for a in answers] == [number for _, number in asked]
    assert ran == sorted(number for _, number in asked)


async def test_the_size_of_every_run_is_observed():
    observed = []
    async with batching(FakeSession(), observe=observed.append) as batcher:
        await ask(batcher, 1)
    assert observed == [1]


async def test_waiting_and_running_time_are_told_apart():
    session = FakeSession()
    async with behind_a_running_image(session) as batcher:
        (task,) = queued(batcher, ("a", 1))
        session.gate.set()
        embedded = await task
    assert min(embedded.queue_ms, embedded.decode_ms, embedded.infer_ms) > 0
