"""The micro-batcher: fair, work-conserving, and a bad image costs only itself."""

from __future__ import annotations

import asyncio
import threading
from contextlib import asynccontextmanager

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exemplar_server.core.scheduler import MicroBatcher
from exemplar_server.errors import DeadlineExceededError, InternalError, NotServingError

POISON = 255
FAR = float("inf")


class FakeSession:
    """Embeds an image as its first value. Fails on POISON, waits while `gate` is closed."""

    def __init__(self):
        self.runs = []
        self.gate = threading.Event()
        self.gate.set()
        self.entered = threading.Event()

    def run(self, images_BHWC):
        self.entered.set()
        assert self.gate.wait(10)
        numbers = images_BHWC[:, 0, 0, 0].tolist()
        self.runs.append(numbers)
        if POISON in numbers:
            raise RuntimeError("secret of the model")
        return np.array(numbers, np.float32)[:, None]


class MiscountingSession(FakeSession):
    """Answers with one embedding too few: the worker that meets it ends."""

    def run(self, images_BHWC):
        return super().run(images_BHWC)[1:]


@asynccontextmanager
async def batching(*sessions, micro_batch=8, observe=lambda _: None):
    batcher = MicroBatcher(sessions, micro_batch, observe)
    batcher.start()
    try:
        yield batcher
    finally:
        for session in sessions:
            session.gate.set()
        await batcher.stop()


async def busy(session):
    """Returns when the session works on something."""
    assert await asyncio.to_thread(session.entered.wait, 10)


def image(number):
    return np.full((1, 1, 1), number, np.uint8)


def ask(batcher, number, tenant="a", deadline=FAR):
    return asyncio.ensure_future(batcher.embed(tenant, image(number), deadline))


async def queued(batcher, *asked):
    """Asks for the images (tenant, number); returns the tasks when all are in the queue."""
    tasks = [ask(batcher, number, tenant) for tenant, number in asked]
    await asyncio.sleep(0)  # one turn of the loop: each task runs up to its wait
    assert batcher.queue_length == len(asked)
    return tasks


@asynccontextmanager
async def behind_a_running_image(session, micro_batch=8):
    """A batcher whose only session is held by image 0; opening its gate lets the queue go on."""
    async with batching(session, micro_batch=micro_batch) as batcher:
        session.gate.clear()
        first = ask(batcher, 0)
        await busy(session)
        yield batcher
        session.gate.set()
        await asyncio.gather(first, return_exceptions=True)


async def test_a_lone_image_runs_at_once():
    session = FakeSession()
    async with batching(session) as batcher:
        embedded = await batcher.embed("a", image(7), FAR)
    assert embedded.embedding_D.tolist() == [7.0]
    assert session.runs == [[7]]


async def test_images_that_wait_run_together():
    session = FakeSession()
    async with behind_a_running_image(session) as batcher:
        tasks = await queued(batcher, ("a", 1), ("a", 2), ("a", 3))
        session.gate.set()
        await asyncio.gather(*tasks)
    assert session.runs == [[0], [1, 2, 3]]


async def test_a_run_never_has_more_images_than_the_micro_batch():
    session = FakeSession()
    async with behind_a_running_image(session, micro_batch=2) as batcher:
        tasks = await queued(batcher, *(("a", number) for number in range(1, 6)))
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


async def test_one_image_of_a_tenant_overtakes_a_hundred_of_another():
    session = FakeSession()
    async with behind_a_running_image(session, micro_batch=4) as batcher:
        crowd = [("a", number) for number in range(1, 101)]
        tasks = await queued(batcher, *crowd, ("b", 200))
        session.gate.set()
        await asyncio.gather(*tasks)
    assert session.runs[1] == [1, 200, 2, 3]


async def test_tenants_take_turns():
    session = FakeSession()
    async with behind_a_running_image(session, micro_batch=6) as batcher:
        asked = [("a", 1), ("a", 2), ("a", 3), ("b", 11), ("b", 12), ("c", 21)]
        tasks = await queued(batcher, *asked)
        session.gate.set()
        await asyncio.gather(*tasks)
    assert session.runs[1] == [1, 11, 21, 2, 12, 3]


async def test_an_image_whose_caller_was_cancelled_is_not_run():
    session = FakeSession()
    async with behind_a_running_image(session) as batcher:
        cancelled, kept = await queued(batcher, ("a", 1), ("a", 2))
        cancelled.cancel()
        await asyncio.gather(cancelled, return_exceptions=True)
        session.gate.set()
        await kept
    assert session.runs == [[0], [2]]


async def test_a_queue_of_cancelled_images_leaves_the_session_free():
    session = FakeSession()
    async with behind_a_running_image(session) as batcher:
        (cancelled,) = await queued(batcher, ("a", 1))
        cancelled.cancel()
        session.gate.set()
        embedded = await batcher.embed("a", image(3), FAR)
    assert embedded.embedding_D.tolist() == [3.0]
    assert session.runs == [[0], [3]]


async def test_an_image_whose_caller_goes_while_it_runs_costs_the_others_nothing():
    session = FakeSession()
    async with behind_a_running_image(session) as batcher:
        gone, kept = await queued(batcher, ("a", 1), ("a", 2))
        session.gate.set()
        gone.cancel()
        assert (await kept).embedding_D.tolist() == [2.0]


async def test_a_passed_deadline_raises_without_a_run():
    session = FakeSession()
    async with batching(session) as batcher:
        with pytest.raises(DeadlineExceededError, match="deadline: passed"):
            await batcher.embed("a", image(1), asyncio.get_running_loop().time() - 1)
    assert session.runs == []


async def test_a_poison_image_in_a_micro_batch_of_eight_costs_only_itself():
    session = FakeSession()
    async with behind_a_running_image(session) as batcher:
        numbers = [1, 2, 3, POISON, 5, 6, 7, 8]
        tasks = await queued(batcher, *(("a", number) for number in numbers))
        session.gate.set()
        outcomes = await asyncio.gather(*tasks, return_exceptions=True)
    failed = [n for n, o in zip(numbers, outcomes, strict=True) if isinstance(o, InternalError)]
    answered = [o.embedding_D[0] for o in outcomes if not isinstance(o, InternalError)]
    assert (failed, answered) == ([POISON], [1, 2, 3, 5, 6, 7, 8])


async def test_the_models_words_do_not_reach_the_caller():
    async with batching(FakeSession()) as batcher:
        with pytest.raises(InternalError) as caught:
            await batcher.embed("a", image(POISON), FAR)
    assert "secret" not in str(caught.value)


async def test_a_session_goes_on_after_a_failed_run():
    async with batching(FakeSession()) as batcher:
        await asyncio.gather(batcher.embed("a", image(POISON), FAR), return_exceptions=True)
        assert (await batcher.embed("a", image(1), FAR)).embedding_D.tolist() == [1.0]
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
    assert [a.embedding_D[0] for a in answers] == [number for _, number in asked]
    assert ran == sorted(number for _, number in asked)


async def test_the_size_of_every_run_is_observed():
    observed = []
    async with batching(FakeSession(), observe=observed.append) as batcher:
        await batcher.embed("a", image(1), FAR)
    assert observed == [1]


async def test_waiting_and_running_time_are_told_apart():
    session = FakeSession()
    async with behind_a_running_image(session) as batcher:
        (task,) = await queued(batcher, ("a", 1))
        session.gate.set()
        embedded = await task
    assert embedded.queue_ms > 0
    assert embedded.infer_ms > 0


async def test_a_batcher_is_alive_from_start_to_stop():
    batcher = MicroBatcher([FakeSession()], 8)
    before = batcher.is_alive
    batcher.start()
    running = batcher.is_alive
    await batcher.stop()
    assert (before, running, batcher.is_alive) == (False, True, False)


async def test_a_batcher_that_lost_a_worker_is_not_alive():
    async with batching(MiscountingSession()) as batcher:
        ask(batcher, 1)
        await asyncio.wait(batcher._workers, timeout=10)  # noqa: SLF001 - what is_alive is about
        assert not batcher.is_alive


async def test_stop_answers_waiting_and_running_images():
    session = FakeSession()
    batcher = MicroBatcher([session], 8)
    batcher.start()
    session.gate.clear()
    running = ask(batcher, 0)
    await busy(session)
    (waiting,) = await queued(batcher, ("a", 1))
    session.gate.set()
    await batcher.stop()
    outcomes = await asyncio.wait_for(asyncio.gather(running, waiting, return_exceptions=True), 10)
    assert [type(outcome) for outcome in outcomes] == [NotServingError, NotServingError]


async def test_stop_leaves_no_thread_and_no_image_behind():
    session = FakeSession()
    async with batching(session) as batcher:
        await batcher.embed("a", image(1), FAR)
    names = [thread.name for thread in threading.enumerate()]
    assert not [name for name in names if name.startswith("session-")]
    assert batcher.queue_length == 0


async def test_a_stopped_batcher_refuses_images():
    async with batching(FakeSession()) as batcher:
        pass
    with pytest.raises(NotServingError):
        await asyncio.wait_for(batcher.embed("a", image(1), FAR), 10)
