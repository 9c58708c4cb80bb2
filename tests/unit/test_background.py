"""Work in the background: one thing after the other, and what it raises reaches who waits."""

import asyncio
import threading

import pytest

from exemplar_server.core import heap
from exemplar_server.core.background import Background


async def test_work_runs_on_a_thread_of_its_own_that_ends_with_the_process():
    thread = await Background("sorting").run(threading.current_thread)
    assert (thread.name, thread.daemon) == ("sorting", True)


async def test_no_thread_is_started_before_there_is_work():
    Background("idle")
    assert "idle" not in {thread.name for thread in threading.enumerate()}


async def test_one_thing_is_done_after_the_other():
    background, order = Background("merge"), []
    await asyncio.gather(*(background.run(order.append, number) for number in range(20)))
    assert order == list(range(20))


async def test_what_it_raises_reaches_who_waits_and_the_next_is_done():
    background = Background("merge")
    with pytest.raises(ZeroDivisionError):
        await background.run(divmod, 1, 0)
    assert await background.run(divmod, 7, 2) == (3, 1)


async def test_what_nobody_waits_for_any_more_is_not_begun():
    background, gate, done = Background("merge"), threading.Event(), []
    first = asyncio.ensure_future(background.run(gate.wait))
    second = asyncio.ensure_future(background.run(done.append, "second"))
    await asyncio.sleep(0)  # one turn of the loop: both are handed over
    second.cancel()
    await asyncio.gather(second, return_exceptions=True)
    gate.set()
    assert await first
    await background.run(done.append, "third")
    assert done == ["third"]


def test_giving_memory_back_needs_no_glibc(monkeypatch):
    heap.give_back()
    monkeypatch.setattr(heap.ctypes, "CDLL", lambda _: object())
    heap.give_back()
