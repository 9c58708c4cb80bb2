"""What happens to every call: whose it is, how long it may take, errors, a log line, metrics.

Default deny: only health checks and reflection run without a tenant. Servicers get a Call, not a
gRPC context, and raise the domain's errors.
"""

from __future__ import annotations

import asyncio
import math
import time
import uuid
from contextlib import asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

import grpc
import structlog
from google.protobuf.message import DecodeError

from exemplar_server.core.support_sets import Call
from exemplar_server.edge import status
from exemplar_server.errors import InvalidInputError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from exemplar_server.edge.credentials import Credentials
    from exemplar_server.edge.metrics import Metrics

    Read = Callable[[Any], Any]  # from what the wire brings to what a servicer takes

log = structlog.get_logger()

PUBLIC_SERVICES = ("grpc.health.v1.", "grpc.reflection.")


class CallInterceptor(grpc.aio.ServerInterceptor):
    """Wraps every handler of our own services. One event loop only."""

    def __init__(self, credentials: Credentials, metrics: Metrics) -> None:
        self._credentials = credentials
        self._metrics = metrics
        self.in_flight = 0

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[Any]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> Any:
        handler = await continuation(handler_call_details)
        method = handler_call_details.method.removeprefix("/")
        if handler is None or method.startswith(PUBLIC_SERVICES):
            return handler
        wrap = self._stream if handler.response_streaming else self._unary
        kind = "stream" if handler.request_streaming else "unary"
        answers = "stream" if handler.response_streaming else "unary"
        make = getattr(grpc, f"{kind}_{answers}_rpc_method_handler")
        inner = getattr(handler, f"{kind}_{answers}")
        read = partial(_each_parsed if handler.request_streaming else _parsed, handler)
        # No deserializer: gRPC would answer its failures with UNKNOWN and Python's words.
        return make(wrap(method, inner, read), response_serializer=handler.response_serializer)

    def _unary(self, method: str, inner: Callable[..., Awaitable[Any]], read: Read) -> Any:
        async def handle(data: Any, context: Any) -> Any:
            async with self._call(method, context) as call:
                return await inner(read(data), call)

        return handle

    def _stream(self, method: str, inner: Callable[..., AsyncIterator[Any]], read: Read) -> Any:
        async def handle(data: Any, context: Any) -> AsyncIterator[Any]:
            async with self._call(method, context) as call:
                async for answer in inner(read(data), call):
                    yield answer

        return handle

    @asynccontextmanager
    async def _call(self, method: str, context: Any) -> AsyncIterator[Call]:
        started = time.perf_counter()
        facts: dict[str, Any] = {"method": method, "call_id": uuid.uuid4().hex[:16]}
        code = grpc.StatusCode.OK
        self.in_flight += 1
        try:
            call = Call(self._credentials.tenant(_metadata(context)), _deadline(context))
            facts["tenant"] = call.tenant
            yield call
        except (asyncio.CancelledError, GeneratorExit):  # the caller left, or did not read
            code = grpc.StatusCode.CANCELLED
            raise
        except Exception as error:
            code = status.status_of(error)
            # A message about the caller's input repeats it, and the log must not.
            facts["error"] = error.reason if isinstance(error, InvalidInputError) else str(error)
            if code is grpc.StatusCode.INTERNAL:
                log.exception("call_failed", **facts)
            await context.abort(code, status.message_of(error), status.trailers_of(error))
        finally:
            self.in_flight -= 1
            seconds = time.perf_counter() - started
            self._metrics.call_seconds.labels(method, code.name).observe(seconds)
            log.info("call", code=code.name, duration_ms=round(seconds * 1e3, 2), **facts)


def _parsed(handler: Any, data: bytes) -> Any:
    try:
        return handler.request_deserializer(data)
    except DecodeError as error:
        raise InvalidInputError(
            "request: expected this method's message, got bytes that are none: "
            "are the stubs made from proto/exemplar/v1?"
        ) from error


async def _each_parsed(handler: Any, source: AsyncIterator[bytes]) -> AsyncIterator[Any]:
    async for data in source:
        yield _parsed(handler, data)


def _metadata(context: Any) -> dict[str, str]:
    return {key: value for key, value in context.invocation_metadata() if isinstance(value, str)}


def _deadline(context: Any) -> float:
    remaining = context.time_remaining()  # None, or a huge number, where the caller set none
    return asyncio.get_running_loop().time() + (math.inf if remaining is None else remaining)
