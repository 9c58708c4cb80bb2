"""Claims about the SDK's exceptions."""

import grpc
import pytest

from exemplar import errors
from exemplar.errors import ERROR_OF, error_of


def test_every_status_but_ok_has_its_exception():
    assert set(ERROR_OF) == set(grpc.StatusCode) - {grpc.StatusCode.OK}


def test_every_exception_is_drawn_in_the_tree():
    names = [
        name
        for name, kind in vars(errors).items()
        if isinstance(kind, type) and issubclass(kind, errors.ExemplarError)
    ]
    assert [name for name in names if name not in errors.__doc__] == []


def test_an_exception_tells_code_reason_and_when_to_retry():
    trailers = (("exemplar-reason", "OVERLOADED"), ("grpc-retry-pushback-ms", "1500"))
    error = error_of(grpc.StatusCode.RESOURCE_EXHAUSTED, "queue: full", trailers, "host:1")
    assert isinstance(error, errors.ResourceExhaustedError)
    assert (error.code, error.reason) == (grpc.StatusCode.RESOURCE_EXHAUSTED, "OVERLOADED")
    assert (error.message, error.retry_after_seconds) == ("queue: full", 1.5)


@pytest.mark.parametrize("pushback", ["-1", "soon"])
def test_a_pushback_that_is_no_delay_is_none(pushback):
    trailers = (("grpc-retry-pushback-ms", pushback),)
    error = error_of(grpc.StatusCode.UNAVAILABLE, "no", trailers, "host:1")
    assert error.retry_after_seconds is None


def test_an_unreachable_server_is_named_with_what_to_check():
    error = error_of(grpc.StatusCode.UNAVAILABLE, "refused", None, "host:1")
    assert "host:1" in error.message
    assert "is it running" in error.message


def test_an_unavailable_server_that_says_why_is_quoted():
    trailers = (("exemplar-reason", "NOT_SERVING"),)
    error = error_of(grpc.StatusCode.UNAVAILABLE, "server: starting", trailers, "host:1")
    assert error.message == "server: starting"
