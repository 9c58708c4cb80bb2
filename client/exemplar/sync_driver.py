"""Performs the steps of plans over a blocking channel."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, NoReturn, TypeVar

import grpc

from exemplar.answers import Answer
from exemplar.calls import (
    IN_FLIGHT,
    STREAM_CLASSIFY,
    Call,
    Calls,
    Method,
    Pause,
    Plan,
    RequestT,
    ResponseT,
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


class SyncDriver:
    """Any thread may use it, several at once."""

    def __init__(self, connection: Connection, timeout_seconds: float) -> None:
        self._target = connection.target
        self._metadata = connection.metadata
        self._timeout_seconds = timeout_seconds
        self._channel = _open(connection)

    def close(self) -> None:
        self._channel.close()

    def run(self, plan: Plan[T]) -> T:
        resume: Callable[[], Step] = partial(next, plan)
        while True:
            try:
                step = resume()
            except StopIteration as end:
                result: T = end.value
                return result
            try:
                self._perform(step)
                resume = partial(next, plan)
            except ExemplarError as error:
                resume = partial(plan.throw, error)

    def pages(self, page_of: Callable[[str], Plan[Page[T]]]) -> Iterator[T]:
        page = self.run(page_of(""))
        yield from page.items
        while page.next_token:
            page = self.run(page_of(page.next_token))
            yield from page.items

    def stream(
        self, stream: ClassifyStream, requests: Iterator[Request], timeout_seconds: float | None
    ) -> Iterator[Answer]:
        method = self._channel.stream_stream(
            STREAM_CLASSIFY.path,
            STREAM_CLASSIFY.request_type.SerializeToString,
            STREAM_CLASSIFY.response_type.FromString,
        )
        call = method(requests, timeout=timeout_seconds, metadata=self._metadata)
        try:
            for response in call:
                yield from stream.answers(response)
        except grpc.RpcError as error:
            self._raise(error)
        finally:
            call.cancel()
        yield from stream.unsent_answers()

    def _perform(self, step: Step) -> None:
        match step:
            case Call():
                self._perform_call(step)
            case Calls(calls):
                self._perform_calls(calls)
            case StreamingCall() | UploadingCall():
                self._perform_streaming(step)
            case Pause(seconds):
                time.sleep(seconds)
            case Work(function):
                function()

    def _perform_call(self, call: Call[Any, Any]) -> None:
        try:
            response = self._unary(call.method)(
                call.request,
                timeout=call.timeout_seconds or self._timeout_seconds,
                metadata=self._metadata,
                wait_for_ready=call.wait_for_ready,
            )
        except grpc.RpcError as error:
            self._raise(error)
        call.take(response)

    def _perform_calls(self, calls: Iterator[Call[Any, Any]]) -> None:
        window: deque[tuple[Call[Any, Any], Any]] = deque()
        try:
            for call in calls:
                if len(window) == IN_FLIGHT:
                    self._finish(*window.popleft())
                window.append((call, self._start(call)))
            while window:
                self._finish(*window.popleft())
        finally:
            for _, future in window:
                future.cancel()

    def _start(self, call: Call[Any, Any]) -> Any:
        return self._unary(call.method).future(
            call.request,
            timeout=call.timeout_seconds or self._timeout_seconds,
            metadata=self._metadata,
        )

    def _finish(self, call: Call[Any, Any], future: Any) -> None:
        try:
            response = future.result()
        except grpc.RpcError as error:
            self._raise(error)
        call.take(response)

    def _perform_streaming(self, call: StreamingCall[Any, Any] | UploadingCall[Any, Any]) -> None:
        is_upload = isinstance(call, UploadingCall)
        method = (self._channel.stream_stream if is_upload else self._channel.unary_stream)(
            call.method.path,
            call.method.request_type.SerializeToString,
            call.method.response_type.FromString,
        )
        sent = call.requests if isinstance(call, UploadingCall) else call.request
        responses = method(sent, timeout=call.timeout_seconds, metadata=self._metadata)
        try:
            for response in responses:
                call.take(response)
        except grpc.RpcError as error:
            self._raise(error)
        finally:
            # Where `take` raised or the caller pressed Ctrl-C, the server shall stop too.
            responses.cancel()

    def _unary(
        self, method: Method[RequestT, ResponseT]
    ) -> grpc.UnaryUnaryMultiCallable[RequestT, ResponseT]:
        return self._channel.unary_unary(
            method.path, method.request_type.SerializeToString, method.response_type.FromString
        )

    def _raise(self, error: grpc.RpcError) -> NoReturn:
        raise error_of(
            error.code(), error.details(), error.trailing_metadata(), self._target
        ) from error


def _open(connection: Connection) -> grpc.Channel:
    if connection.credentials is None:
        return grpc.insecure_channel(connection.target, channel_options())
    return grpc.secure_channel(connection.target, connection.credentials, channel_options())
