"""Answers a stream of requests in order while several are worked on."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Sequence

Request = TypeVar("Request")
Response = TypeVar("Response")

# Requests of one stream in work at once: enough to keep the sessions busy, few enough to be fair.
IN_WORK = 8


async def in_order(
    requests: AsyncIterator[Request],
    answer: Callable[[Request], Awaitable[Response]],
    in_work: int = IN_WORK,
) -> AsyncIterator[Response]:
    """One answer a request, in order. Reads on only as answers are taken: flow control holds.

    Closing the iterator cancels the work in hand.
    """
    tasks: asyncio.Queue[asyncio.Future[Response] | None] = asyncio.Queue()
    room = asyncio.Semaphore(in_work)

    async def read() -> None:
        try:
            await room.acquire()
            async for request in requests:
                tasks.put_nowait(asyncio.ensure_future(answer(request)))
                await room.acquire()
        finally:
            tasks.put_nowait(None)

    reader = asyncio.create_task(read())
    try:
        while (task := await tasks.get()) is not None:
            yield await task
            room.release()
        await reader
    finally:
        await _cancelled([reader, *_waiting(tasks)])


def _waiting(
    tasks: asyncio.Queue[asyncio.Future[Response] | None],
) -> list[asyncio.Future[Response]]:
    waiting = [tasks.get_nowait() for _ in range(tasks.qsize())]
    return [task for task in waiting if task is not None]


async def _cancelled(tasks: Sequence[asyncio.Future[Any]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
