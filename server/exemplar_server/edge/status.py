"""The one table from domain errors to gRPC statuses, and the details that go with them."""

from __future__ import annotations

import grpc
from google.protobuf import any_pb2, duration_pb2
from google.rpc import error_details_pb2, status_pb2

from exemplar_server import errors

DOMAIN = "exemplar.v1"
INTERNAL_MESSAGE = "internal error: the server's log has the details"

STATUS_OF: dict[type[BaseException], grpc.StatusCode] = {
    errors.InvalidInputError: grpc.StatusCode.INVALID_ARGUMENT,
    errors.NotFoundError: grpc.StatusCode.NOT_FOUND,
    errors.AlreadyExistsError: grpc.StatusCode.ALREADY_EXISTS,
    errors.EmptySupportSetError: grpc.StatusCode.FAILED_PRECONDITION,
    errors.TooFewExemplarsError: grpc.StatusCode.FAILED_PRECONDITION,
    errors.FingerprintMismatchError: grpc.StatusCode.FAILED_PRECONDITION,
    errors.RevisionMismatchError: grpc.StatusCode.ABORTED,
    errors.RevisionNotReachedError: grpc.StatusCode.UNAVAILABLE,
    errors.RequestIdReusedError: grpc.StatusCode.INVALID_ARGUMENT,
    errors.OverloadedError: grpc.StatusCode.RESOURCE_EXHAUSTED,
    errors.QuotaExceededError: grpc.StatusCode.RESOURCE_EXHAUSTED,
    errors.DeadlineExceededError: grpc.StatusCode.DEADLINE_EXCEEDED,
    errors.UnauthenticatedError: grpc.StatusCode.UNAUTHENTICATED,
    errors.PermissionDeniedError: grpc.StatusCode.PERMISSION_DENIED,
    # Not UNAVAILABLE, which clients retry: a full disk is full in a second, too.
    errors.StoreUnavailableError: grpc.StatusCode.RESOURCE_EXHAUSTED,
    # A database that starts anew is back in a second.
    errors.StoreUnreachableError: grpc.StatusCode.UNAVAILABLE,
    errors.UpgradeRefusedError: grpc.StatusCode.FAILED_PRECONDITION,
    errors.CorruptSupportSetError: grpc.StatusCode.DATA_LOSS,
    errors.NotServingError: grpc.StatusCode.UNAVAILABLE,
    errors.ExemplarError: grpc.StatusCode.INTERNAL,
}


def status_of(error: BaseException) -> grpc.StatusCode:
    """The status of the error's nearest mapped ancestor; INTERNAL for everything unexpected."""
    for ancestor in type(error).__mro__:
        if ancestor in STATUS_OF:
            return STATUS_OF[ancestor]
    return grpc.StatusCode.INTERNAL


def message_of(error: BaseException) -> str:
    """What a caller may read: the words of domain errors, nothing of our own faults."""
    return INTERNAL_MESSAGE if status_of(error) is grpc.StatusCode.INTERNAL else str(error)


def reason_of(error: BaseException) -> str:
    return error.reason if isinstance(error, errors.ExemplarError) else "INTERNAL"


def trailers_of(error: BaseException) -> tuple[tuple[str, str | bytes], ...]:
    """Trailing metadata: google.rpc details, the reason in plain, and when to try again.

    A negative push-back tells gRPC's own retries to stop (gRFC A6).
    """
    trailers: list[tuple[str, str | bytes]] = [
        ("grpc-status-details-bin", _details(error)),
        ("exemplar-reason", reason_of(error)),
    ]
    if isinstance(error, errors.OverloadedError):
        milliseconds = round(error.retry_after_seconds * 1000)
        trailers.append(("grpc-retry-pushback-ms", str(milliseconds)))
    elif status_of(error) is grpc.StatusCode.RESOURCE_EXHAUSTED:
        trailers.append(("grpc-retry-pushback-ms", "-1"))
    return tuple(trailers)


def _details(error: BaseException) -> bytes:
    info = error_details_pb2.ErrorInfo(reason=reason_of(error), domain=DOMAIN)
    details = [_packed(info)]
    if isinstance(error, errors.OverloadedError):
        delay = duration_pb2.Duration()
        delay.FromMilliseconds(round(error.retry_after_seconds * 1000))
        details.append(_packed(error_details_pb2.RetryInfo(retry_delay=delay)))
    code: int = status_of(error).value[0]
    status = status_pb2.Status(code=code, message=message_of(error), details=details)
    serialized: bytes = status.SerializeToString()
    return serialized


def _packed(message: error_details_pb2.ErrorInfo | error_details_pb2.RetryInfo) -> any_pb2.Any:
    packed = any_pb2.Any()
    packed.Pack(message)
    return packed
