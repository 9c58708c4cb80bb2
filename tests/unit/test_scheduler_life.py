"""The micro-batcher's life: alive until it stops or loses a thread, and nobody waits for ever."""

from __future__ import annotations

import asyncio
import threading

import pytest

from exemplar_server.core.scheduler import MicroBatcher
from exemplar_server.errors import NotServingError
from sessions import (
    FakeSession,
    ask,
    batching,
    behind_a_running_image,
    busy,
    decode,
    queued,
)


class BrokenSession(FakeSession):
    def run(self, _):
        raise RuntimeError("the device is lost")


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
async def test_a_session_that_fails_even_a_black_image_ends_its_thread():
    async with batching(BrokenSession()) as batcher:
        with pytest.raises(NotServingError):
            await asyncio.wait_for(ask(batcher, 1), 10)
        await asyncio.to_thread(batcher._threads[0].join)  # noqa: SLF001 - what is_alive is about
        assert not batcher.is_alive


async def test_an_image_that_comes_while_the_batcher_stops_is_refused():
    session = FakeSession()
    async with behind_a_running_image(session) as batcher:
        stopping = asyncio.ensure_future(batcher.stop())
        await asyncio.sleep(0)  # one turn of the loop: it has begun
        with pytest.raises(NotServingError):
            ask(batcher, 1)
        session.gate.set()
        await stopping


async def test_a_batcher_is_alive_until_it_stops():
    async with batching(FakeSession()) as batcher:
        assert batcher.is_alive
    assert not batcher.is_alive


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
async def test_a_batcher_that_lost_a_thread_is_not_alive_and_refuses():
    def fail(_):
        raise RuntimeError

    async with batching(FakeSession(), observe=fail) as batcher:
        with pytest.raises(NotServingError):
            await asyncio.wait_for(ask(batcher, 1), 10)
        await asyncio.to_thread(batcher._threads[0].join)  # noqa: SLF001 - what is_alive is about
        assert not batcher.is_alive
        with pytest.raises(NotServingError):
            ask(batcher, 2)


async def test_stop_answers_the_running_image_and_refuses_the_waiting():
    session = FakeSession()
    batcher = MicroBatcher([session], decode, 8)
    session.gate.clear()
    running = ask(batcher, 0)
    await busy(session)
    (waiting,) = queued(batcher, ("a", 1))
    stopping = asyncio.ensure_future(batcher.stop())
    with pytest.raises(NotServingError):
        await asyncio.wait_for(waiting, 10)
    session.gate.set()
    await stopping
    assert (await asyncio.wait_for(running, 10)).result.tolist() == [0.0]


async def test_stop_leaves_no_thread_and_no_image_behind():
    session = FakeSession()
    async with batching(session) as batcher:
        await ask(batcher, 1)
    names = [thread.name for thread in threading.enumerate()]
    assert not [name for name in names if name.startswith("session-")]
    assert batcher.queue_length == 0


async def test_a_stopped_batcher_refuses_images():
    async with batching(FakeSession()) as batcher:
        pass
    with pytest.raises(NotServingError):
        ask(batcher, 1)


async def test_each_thread_begins_with_what_it_was_told():
    begun = []

    def begin():
        begun.append(threading.current_thread())

    batcher = MicroBatcher([FakeSession(), FakeSession()], decode, 1, begin=begin)
    await batcher.stop()
    assert set(begun) == set(batcher._threads)  # noqa: SLF001 - the threads are all that it is
