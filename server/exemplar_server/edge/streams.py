"""Answers a stream of requests in order while several are worked on."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

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
    tasks: asyncio.Queue[asyncio.Future[Response] | None] = asyncio.Queue(in_work)

    async def read() -> None:
        async for request in requests:
            await tasks.put(asyncio.ensure_future(answer(request)))
        await tasks.put(None)

    reader = asyncio.create_task(read())
    try:
        while (task := await tasks.get()) is not None:
            yield await task
        await reader
    finally:
        reader.cancel()
        while not tasks.empty():
            if (task := tasks.get_nowait()) is not None:
                task.cancel()
