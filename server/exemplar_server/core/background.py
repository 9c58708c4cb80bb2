"""Work that nobody waits for: on a thread of its own, or until a stack is left."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import Future
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine
    from contextlib import AsyncExitStack

T = TypeVar("T")


class Background:
    """Does one thing after the other; starts its thread with the first.

    The thread is a daemon: training an index takes a minute, and stopping the server must not wait.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._work: SimpleQueue[tuple[Future[Any], Callable[[], Any]]] = SimpleQueue()
        self._starting = threading.Lock()
        self._thread: threading.Thread | None = None

    async def run(self, function: Callable[..., T], *arguments: Any) -> T:
        future: Future[T] = Future()
        self._work.put((future, lambda: function(*arguments)))
        with self._starting:
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name=self._name, daemon=True)
                self._thread.start()
        return await asyncio.wrap_future(future)

    def _run(self) -> None:
        while True:
            future, work = self._work.get()
            if future.set_running_or_notify_cancel():
                try:
                    future.set_result(work())
                except BaseException as error:  # noqa: BLE001 - whoever waits for it gets it
                    future.set_exception(error)
            del future, work  # else they live until the next piece of work


def work_until_left(stack: AsyncExitStack, work: Coroutine[Any, Any, None]) -> None:
    """Begins the work; leaving the stack ends it."""
    stack.push_async_callback(_ended, asyncio.create_task(work))


async def _ended(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
