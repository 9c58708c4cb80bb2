"""Performs the steps of plans over an asyncio channel."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterator
from functools import partial
from typing import Any, NoReturn, TypeVar

import grpc
import grpc.aio

from exemplar.answers import Answer
from exemplar.calls import (
    IN_FLIGHT,
    STREAM_CLASSIFY,
    Call,
    Calls,
    Pause,
    Plan,
    Step,
    StreamingCall,
    UploadingCall,
    Work,
)
from exemplar.channel import Connection, channel_options
from exemplar.errors import ExemplarError, error_of
from exemplar.stream import ClassifyStream, Request
from exemplar.support_set_plans import Page

T = TypeVar("T")


class AsyncDriver:
    """For the tasks of one event loop, the one that runs when it is made."""

    def __init__(self, connection: Connection, timeout_seconds: float) -> None:
        self._target = connection.target
        self._metadata = connection.metadata
        self._timeout_seconds = timeout_seconds
        self._channel = _open(connection)

    async def close(self) -> None:
        await self._channel.close()

    async def run(self, plan: Plan[T]) -> T:
        resume: Callable[[], Step] = partial(next, plan)
        while True:
            try:
                step = resume()
            except StopIteration as end:
                result: T = end.value
                return result
            try:
                await self._perform(step)
                resume = partial(next, plan)
            except ExemplarError as error:
                resume = partial(plan.throw, error)

    async def pages(self, page_of: Callable[[str], Plan[Page[T]]]) -> AsyncIterator[T]:
        page = await self.run(page_of(""))
        for item in page.items:
            yield item
        while page.next_token:
            page = await self.run(page_of(page.next_token))
            for item in page.items:
                yield item

    async def stream(
        self,
        stream: ClassifyStream,
        requests: AsyncIterator[Request],
        timeout_seconds: float | None,
    ) -> AsyncIterator[Answer]:
        method = self._channel.stream_stream(
            STREAM_CLASSIFY.path,
            STREAM_CLASSIFY.request_type.SerializeToString,
            STREAM_CLASSIFY.response_type.FromString,
        )
        call = method(requests, timeout=timeout_seconds, metadata=self._metadata)
        try:
            async for response in call:
                for answer in stream.answers(response):
                    yield answer
        except grpc.aio.AioRpcError as error:
            self._raise(error)
        finally:
            call.cancel()
        for answer in stream.unsent_answers():
            yield answer

    async def _perform(self, step: Step) -> None:
        match step:
            case Call():
                step.take(await self._response(step))
            case Calls(calls):
                await self._perform_calls(calls)
            case StreamingCall() | UploadingCall():
                await self._perform_streaming(step)
            case Pause(seconds):
                await asyncio.sleep(seconds)
            case Work(function):
                await asyncio.to_thread(function)

    async def _response(self, call: Call[Any, Any]) -> Any:
        method = self._channel.unary_unary(
            call.method.path,
            call.method.request_type.SerializeToString,
            call.method.response_type.FromString,
        )
        try:
            return await method(
                call.request,
                timeout=call.timeout_seconds or self._timeout_seconds,
                metadata=self._metadata,
                wait_for_ready=call.wait_for_ready,
            )
        except grpc.aio.AioRpcError as error:
            self._raise(error)

    async def _perform_calls(self, calls: Iterator[Call[Any, Any]]) -> None:
        window: deque[tuple[Call[Any, Any], asyncio.Task[Any]]] = deque()
        try:
            # In a thread, because the next call may read its images from files.
            while (call := await asyncio.to_thread(next, calls, None)) is not None:
                if len(window) == IN_FLIGHT:
                    await _finish(*window.popleft())
                window.append((call, asyncio.create_task(self._response(call))))
            while window:
                await _finish(*window.popleft())
        finally:
            for _, task in window:
                task.cancel()

    async def _perform_streaming(
        self, call: StreamingCall[Any, Any] | UploadingCall[Any, Any]
    ) -> None:
        is_upload = isinstance(call, UploadingCall)
        method = (self._channel.stream_stream if is_upload else self._channel.unary_stream)(
            call.method.path,
            call.method.request_type.SerializeToString,
            call.method.response_type.FromString,
        )
        sent = _read(call.requests) if isinstance(call, UploadingCall) else call.request
        responses = method(sent, timeout=call.timeout_seconds, metadata=self._metadata)
        try:
            async for response in responses:
                call.take(response)
        except grpc.aio.AioRpcError as error:
            self._raise(error)
        finally:
            # Where `take` raised or the task was cancelled, the server shall stop too.
            responses.cancel()

    def _raise(self, error: grpc.aio.AioRpcError) -> NoReturn:
        raise error_of(
            error.code(), error.details(), error.trailing_metadata(), self._target
        ) from error


async def _finish(call: Call[Any, Any], task: asyncio.Task[Any]) -> None:
    call.take(await task)


async def _read(requests: Iterator[Any]) -> AsyncIterator[Any]:
    # In a thread, because the next request may read its images from files.
    while (request := await asyncio.to_thread(next, requests, None)) is not None:
        yield request


def _open(connection: Connection) -> grpc.aio.Channel:
    if connection.credentials is None:
        return grpc.aio.insecure_channel(connection.target, channel_options())
    return grpc.aio.secure_channel(connection.target, connection.credentials, channel_options())
