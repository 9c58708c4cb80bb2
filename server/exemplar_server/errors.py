"""Everything that can go wrong, in the project's words. Knows no gRPC: edge/status.py maps it.

ExemplarError
├── InvalidInputError             a field's value is not allowed
│   ├── UndecodableImageError     not a readable JPEG, PNG or WebP
│   └── LimitExceededError        over a limit that GetServerInfo announces
├── NotFoundError                 missing, or another tenant's
├── AlreadyExistsError
├── EmptySupportSetError
├── TooFewExemplarsError          more are needed for what is asked
├── FingerprintMismatchError      two embedding spaces would be mixed
├── RevisionMismatchError         expected_revision is not the current one
├── RevisionNotReachedError       min_revision is ahead of this server
├── RequestIdReusedError
├── OverloadedError               the queue is full
├── QuotaExceededError            the tenant would store more than it may
├── DeadlineExceededError
├── UnauthenticatedError
├── PermissionDeniedError
├── StoreUnavailableError         the store refuses writes
│   └── StoreUnreachableError     it does not answer, and soon may again
├── UpgradeRefusedError           a backbone upgrade cannot do this now
├── CorruptSupportSetError        what the store has is not what was written
├── NotServingError               starting or stopping
└── InternalError                 our fault
    ├── ArtifactError             a backbone that cannot be served
    └── ConfigurationError        a setting that cannot work

Messages are lower case and name the field, the expectation and the value:
"exemplars[3].label: expected 1..128 characters, got 0".
"""

from __future__ import annotations

from typing import ClassVar


class ExemplarError(Exception):
    """Base of all. `reason` equals the name in exemplar.v1.ErrorReason, less its prefix."""

    reason: ClassVar[str] = "INTERNAL"


class InvalidInputError(ExemplarError):
    reason = "INVALID_INPUT"


class UndecodableImageError(InvalidInputError):
    reason = "UNDECODABLE_IMAGE"


class LimitExceededError(InvalidInputError):
    reason = "LIMIT_EXCEEDED"


class NotFoundError(ExemplarError):
    reason = "NOT_FOUND"


class AlreadyExistsError(ExemplarError):
    reason = "ALREADY_EXISTS"


class EmptySupportSetError(ExemplarError):
    reason = "EMPTY_SUPPORT_SET"


class TooFewExemplarsError(ExemplarError):
    reason = "TOO_FEW_EXEMPLARS"


class FingerprintMismatchError(ExemplarError):
    reason = "FINGERPRINT_MISMATCH"


class RevisionMismatchError(ExemplarError):
    reason = "REVISION_MISMATCH"


class RevisionNotReachedError(ExemplarError):
    reason = "REVISION_NOT_REACHED"


class RequestIdReusedError(ExemplarError):
    reason = "REQUEST_ID_REUSED"


class OverloadedError(ExemplarError):
    """Carries when another try may succeed."""

    reason = "OVERLOADED"

    def __init__(self, message: str, retry_after_seconds: float) -> None:
        super().__init__(message)
        self.retry_after_seconds = retry_after_seconds


class QuotaExceededError(ExemplarError):
    reason = "QUOTA_EXCEEDED"


class DeadlineExceededError(ExemplarError):
    reason = "DEADLINE_EXCEEDED"


class UnauthenticatedError(ExemplarError):
    reason = "UNAUTHENTICATED"


class PermissionDeniedError(ExemplarError):
    reason = "PERMISSION_DENIED"


class StoreUnavailableError(ExemplarError):
    reason = "STORE_UNAVAILABLE"


class StoreUnreachableError(StoreUnavailableError):
    """A change may have been made or not: the same call with the same request_id finds out."""

    reason = "STORE_UNREACHABLE"


class CorruptSupportSetError(ExemplarError):
    reason = "CORRUPT_SUPPORT_SET"


class UpgradeRefusedError(ExemplarError):
    reason = "UPGRADE_REFUSED"


class NotServingError(ExemplarError):
    reason = "NOT_SERVING"


class InternalError(ExemplarError):
    reason = "INTERNAL"


class ArtifactError(InternalError):
    """A backbone directory that is missing, incomplete, corrupt or does not match its manifest."""


class ConfigurationError(InternalError):
    """Settings that cannot work together or on this machine."""
