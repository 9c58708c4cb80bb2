"""Streams: answers in order, bounded reading, and nothing goes on after the end."""

import asyncio
from collections import defaultdict

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exemplar_server.edge.streams import in_order

IN_WORK = 3


class Requests:
    """A client's stream of numbers. Knows how many were read; ends in `error` if there is one."""

    def __init__(self, count, error=None):
        self.read = 0
        self._count = count
        self._error = error

    async def stream(self):
        while self.read < self._count:
            self.read += 1
            yield self.read - 1
        if self._error is not None:
            raise self._error


class Work:
    """Answers a number with itself, once it is released."""

    def __init__(self):
        self.started = []
        self.cancelled = []
        self.released = defaultdict(asyncio.Event)

    async def answer(self, number):
        self.started.append(number)
        try:
            await self.released[number].wait()
        except asyncio.CancelledError:
            self.cancelled.append(number)
            raise
        return number


async def echo(number):
    return number


async def settled():
    """Turns the loop until whatever can go on without us has done so."""
    for _ in range(20):
        await asyncio.sleep(0)


@settings(deadline=None, max_examples=50)
@given(order=st.permutations(range(7)), in_work=st.integers(1, 9))
def test_answers_come_in_the_order_of_requests_whatever_is_done_first(order, in_work):
    async def answers():
        work = Work()
        stream = in_order(Requests(7).stream(), work.answer, in_work)
        taken = asyncio.ensure_future(anext(stream))
        for number in order:
            await settled()
            work.released[number].set()
        return [await taken, *[answer async for answer in stream]]

    assert asyncio.run(answers()) == list(range(7))


async def test_no_requests_get_no_answers():
    assert [answer async for answer in in_order(Requests(0).stream(), echo)] == []


async def test_several_requests_are_worked_on_at_once():
    work = Work()
    stream = in_order(Requests(10).stream(), work.answer, IN_WORK)
    taken = asyncio.ensure_future(anext(stream))
    await settled()
    assert work.started == [0, 1, 2]
    taken.cancel()
    await asyncio.gather(taken, return_exceptions=True)


async def test_reading_stops_until_an_answer_is_taken():
    requests = Requests(10)
    stream = in_order(requests.stream(), echo, IN_WORK)
    await anext(stream)
    await settled()
    before = requests.read
    await anext(stream)
    await settled()
    assert (before, requests.read) == (IN_WORK, IN_WORK + 1)
    await stream.aclose()


async def test_an_answer_does_not_wait_for_the_next_request():
    first_is_answered = asyncio.Event()

    async def one_by_one():
        yield 0
        await first_is_answered.wait()
        yield 1

    stream = in_order(one_by_one(), echo)
    assert await anext(stream) == 0
    first_is_answered.set()
    assert await anext(stream) == 1
    await stream.aclose()


async def test_an_error_of_the_requests_is_raised_after_the_answers_before_it():
    stream = in_order(Requests(2, ConnectionError("client gone")).stream(), echo)
    assert [await anext(stream), await anext(stream)] == [0, 1]
    with pytest.raises(ConnectionError, match="client gone"):
        await asyncio.wait_for(anext(stream), 10)


async def test_an_error_of_an_answer_is_raised_in_its_place_and_ends_the_others():
    work = Work()

    async def fails_at_one(number):
        if number == 1:
            raise ValueError("answer 1")
        return await work.answer(number)

    work.released[0].set()
    stream = in_order(Requests(10).stream(), fails_at_one, IN_WORK)
    assert await anext(stream) == 0
    with pytest.raises(ValueError, match="answer 1"):
        await anext(stream)
    assert work.cancelled == work.started[1:]


async def test_closing_early_cancels_everything_in_work():
    work = Work()
    work.released[0].set()
    stream = in_order(Requests(10).stream(), work.answer, IN_WORK)
    assert await anext(stream) == 0
    await settled()
    await stream.aclose()
    assert work.cancelled == work.started[1:] == [1, 2]


async def test_closing_early_stops_reading():
    requests = Requests(10)
    stream = in_order(requests.stream(), echo, IN_WORK)
    await anext(stream)
    await stream.aclose()
    before = requests.read
    await settled()
    assert requests.read == before


async def test_a_cancelled_call_leaves_no_task_behind():
    work = Work()
    stream = in_order(Requests(10).stream(), work.answer, IN_WORK)
    taken = asyncio.ensure_future(anext(stream))
    await settled()
    taken.cancel()
    await asyncio.gather(taken, return_exceptions=True)
    assert asyncio.all_tasks() == {asyncio.current_task()}
