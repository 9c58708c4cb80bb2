"""Everything that a call can raise, and the one table from gRPC statuses to it.

ExemplarError
├── InvalidArgumentError      a field's value is not allowed
├── NotFoundError             missing, or another tenant's
├── AlreadyExistsError        the name is taken
├── FailedPreconditionError   an empty support set, two embedding spaces
├── AbortedError              expected_revision is not the current one
├── UnauthenticatedError      no valid credential
├── PermissionDeniedError     another tenant's credential
├── ResourceExhaustedError    the queue is full or a quota used up: see retry_after_seconds
├── UnavailableError          no server answers, or it or its store starts or stops
├── DeadlineExceededError     timeout_seconds passed first
├── CallCancelledError        the call or its client was closed
├── UnimplementedError        the server is older than this SDK
├── ServerError               the server's fault; its log tells more
└── ItemFailedError           the values of an embedding that could not be made were read
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import grpc

# Trailing metadata. The first is ours; the second is gRPC's own (gRFC A6).
REASON_KEY = "exemplar-reason"
PUSHBACK_KEY = "grpc-retry-pushback-ms"

# Pairs of key and value; the type stubs of grpc and grpc.aio disagree on more.
Metadata = Iterable[Any]


class ExemplarError(Exception):
    """Base of all.

    Attributes:
        message: what is wrong, for people.
        code: the gRPC status; None where no call was involved.
        reason: an exemplar.v1.ErrorReason less its prefix, such as "EMPTY_SUPPORT_SET";
            empty where the server named none.
        retry_after_seconds: when another try may succeed; None where the server did not say.
    """

    def __init__(
        self,
        message: str,
        *,
        code: grpc.StatusCode | None = None,
        reason: str = "",
        retry_after_seconds: float | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.code = code
        self.reason = reason
        self.retry_after_seconds = retry_after_seconds


class InvalidArgumentError(ExemplarError): ...


class NotFoundError(ExemplarError): ...


class AlreadyExistsError(ExemplarError): ...


class FailedPreconditionError(ExemplarError): ...


class AbortedError(ExemplarError): ...


class UnauthenticatedError(ExemplarError): ...


class PermissionDeniedError(ExemplarError): ...


class ResourceExhaustedError(ExemplarError): ...


class UnavailableError(ExemplarError): ...


class DeadlineExceededError(ExemplarError): ...


class CallCancelledError(ExemplarError): ...


class UnimplementedError(ExemplarError): ...


class ServerError(ExemplarError): ...


class ItemFailedError(ExemplarError): ...


ERROR_OF: dict[grpc.StatusCode, type[ExemplarError]] = {
    grpc.StatusCode.ABORTED: AbortedError,
    grpc.StatusCode.ALREADY_EXISTS: AlreadyExistsError,
    grpc.StatusCode.CANCELLED: CallCancelledError,
    grpc.StatusCode.DATA_LOSS: ServerError,
    grpc.StatusCode.DEADLINE_EXCEEDED: DeadlineExceededError,
    grpc.StatusCode.FAILED_PRECONDITION: FailedPreconditionError,
    grpc.StatusCode.INTERNAL: ServerError,
    grpc.StatusCode.INVALID_ARGUMENT: InvalidArgumentError,
    grpc.StatusCode.NOT_FOUND: NotFoundError,
    grpc.StatusCode.OUT_OF_RANGE: InvalidArgumentError,
    grpc.StatusCode.PERMISSION_DENIED: PermissionDeniedError,
    grpc.StatusCode.RESOURCE_EXHAUSTED: ResourceExhaustedError,
    grpc.StatusCode.UNAUTHENTICATED: UnauthenticatedError,
    grpc.StatusCode.UNAVAILABLE: UnavailableError,
    grpc.StatusCode.UNIMPLEMENTED: UnimplementedError,
    grpc.StatusCode.UNKNOWN: ServerError,
}


def error_of(
    code: grpc.StatusCode, details: str | None, trailers: Metadata | None, target: str
) -> ExemplarError:
    """The SDK's exception for a call to `target` that ended with this status."""
    facts = dict(trailers or ())
    reason = _text(facts.get(REASON_KEY, ""))
    message = details or f"the server said {code.name} and nothing else"
    if code is grpc.StatusCode.UNAVAILABLE and not reason:
        message = _unreachable(target, message)
    if code is grpc.StatusCode.DEADLINE_EXCEEDED and not reason:
        message = f"no answer from {target} in time ({message}); a larger timeout_seconds waits"
    return ERROR_OF[code](
        message, code=code, reason=reason, retry_after_seconds=_retry_after_seconds(facts)
    )


def _unreachable(target: str, details: str) -> str:
    return (
        f"cannot reach an Exemplar server at {target}: is it running, is this its host and port, "
        f"and do both sides use TLS or neither? ({details})"
    )


def _retry_after_seconds(facts: dict[str, str | bytes]) -> float | None:
    text = _text(facts.get(PUSHBACK_KEY, ""))
    # A negative value means "do not retry" (gRFC A6).
    return int(text) / 1000 if text.isdecimal() else None


def _text(value: str | bytes) -> str:
    return value.decode("ascii", "replace") if isinstance(value, bytes) else value
