"""Every error has one status, one reason and its place in the module's tree."""

import re

import grpc
import pytest
from google.rpc import error_details_pb2, status_pb2

from exemplar.v1.embedding_pb2 import ErrorReason
from exemplar_server import errors
from exemplar_server.edge import status
from exemplar_server.errors import ExemplarError, InternalError, OverloadedError


def descendants(kind):
    return [kind, *(d for child in kind.__subclasses__() for d in descendants(child))]


KINDS = descendants(ExemplarError)
OUR_FAULTS = [ExemplarError, *descendants(InternalError)]
CALLERS_CASES = [kind for kind in KINDS if kind not in OUR_FAULTS]
MESSAGE = "field: expected this, got that"


def made(kind, message=MESSAGE):
    return kind(message, 1.5) if issubclass(kind, OverloadedError) else kind(message)


def trailer(error, name):
    return dict(status.trailers_of(error)).get(name)


def details(error):
    return status_pb2.Status.FromString(trailer(error, "grpc-status-details-bin"))


def drawn_parents():
    """Each error's parent in the tree that the module's docstring draws."""
    ancestors, parents = ["ExemplarError"], {}
    for branch, name in re.findall(r"^([│ ]*[├└]── )(\w+)", errors.__doc__, re.MULTILINE):
        depth = len(branch) // 4
        ancestors[depth:] = [name]
        parents[name] = ancestors[depth - 1]
    return parents


def test_the_tree_is_drawn_as_it_is():
    real = {kind.__name__: kind.__base__.__name__ for kind in KINDS if kind is not ExemplarError}
    assert drawn_parents() == real


@pytest.mark.parametrize("kind", KINDS)
def test_an_error_has_the_status_of_its_nearest_mapped_ancestor_and_no_other(kind):
    mapped = [ancestor for ancestor in kind.__mro__ if ancestor in status.STATUS_OF]
    assert status.status_of(made(kind)) is status.STATUS_OF[mapped[0]]
    assert len(kind.__bases__) == 1  # else the nearest would depend on the order of the bases


def test_the_table_has_our_own_errors_only():
    assert set(status.STATUS_OF) <= set(KINDS)


@pytest.mark.parametrize("kind", CALLERS_CASES)
def test_what_a_caller_can_act_on_is_told_in_the_errors_own_words(kind):
    error = made(kind)
    assert status.status_of(error) is not grpc.StatusCode.INTERNAL
    assert status.message_of(error) == details(error).message == MESSAGE


@pytest.mark.parametrize("kind", [*OUR_FAULTS, KeyError, OSError])
def test_a_fault_of_ours_is_internal_and_tells_nothing(kind):
    error = made(kind, "/secret/path")
    assert status.status_of(error) is grpc.StatusCode.INTERNAL
    assert "secret" not in status.message_of(error)
    assert b"secret" not in trailer(error, "grpc-status-details-bin")


@pytest.mark.parametrize("kind", KINDS)
def test_every_reason_is_one_of_the_api(kind):
    assert ErrorReason.Value(f"ERROR_REASON_{kind.reason}") > 0


def test_every_reason_of_the_api_is_given_by_an_error():
    given = {f"ERROR_REASON_{kind.reason}" for kind in KINDS}
    assert set(ErrorReason.keys()) == given | {"ERROR_REASON_UNSPECIFIED"}


@pytest.mark.parametrize("kind", CALLERS_CASES)
def test_no_two_errors_share_a_reason(kind):
    assert [other for other in CALLERS_CASES if other.reason == kind.reason] == [kind]


@pytest.mark.parametrize("kind", [*KINDS, KeyError])
def test_details_carry_status_and_reason(kind):
    error = made(kind)
    info = error_details_pb2.ErrorInfo()
    assert details(error).details[0].Unpack(info)
    assert (info.reason, info.domain) == (getattr(kind, "reason", "INTERNAL"), "exemplar.v1")
    assert trailer(error, "exemplar-reason") == info.reason
    assert details(error).code == status.status_of(error).value[0]


def test_an_overloaded_server_says_when_to_try_again():
    error = made(OverloadedError)
    retry = error_details_pb2.RetryInfo()
    assert details(error).details[1].Unpack(retry)
    assert retry.retry_delay.ToMilliseconds() == 1500
    assert trailer(error, "grpc-retry-pushback-ms") == "1500"


@pytest.mark.parametrize("kind", [errors.StoreUnavailableError, errors.QuotaExceededError])
def test_a_store_that_refuses_is_not_tried_again_at_once(kind):
    assert trailer(made(kind), "grpc-retry-pushback-ms") == "-1"
    assert len(details(made(kind)).details) == 1  # no RetryInfo


UNTOLD = [errors.NotFoundError, errors.NotServingError, errors.StoreUnreachableError, InternalError]


@pytest.mark.parametrize("kind", UNTOLD)
def test_other_errors_leave_retries_to_the_client(kind):
    assert trailer(made(kind), "grpc-retry-pushback-ms") is None
