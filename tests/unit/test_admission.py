"""Admission: bounded by images and by bytes, and an error now where it is full."""

import pytest

from exemplar_server.core.admission import RETRY_AFTER_SECONDS, Admission
from exemplar_server.errors import OverloadedError


def of(count, size=1):
    return [b"x" * size] * count


def is_admitted(admission, images, tenant="b"):
    try:
        with admission.admit(tenant, images):
            return True
    except OverloadedError:
        return False


def test_images_are_counted_until_they_leave():
    admission = Admission(10, 100)
    with admission.admit("a", of(3, size=5)):
        held = (admission.images, admission.bytes)
    assert (held, admission.images, admission.bytes) == ((3, 15), 0, 0)


@pytest.mark.parametrize(("count", "is_room"), [(7, True), (8, False)])
def test_the_number_of_images_is_bounded(count, is_room):
    admission = Admission(10, 100)
    with admission.admit("a", of(3)):
        assert is_admitted(admission, of(count)) is is_room


@pytest.mark.parametrize(("size", "is_room"), [(70, True), (71, False)])
def test_the_number_of_bytes_is_bounded(size, is_room):
    admission = Admission(10, 100)
    with admission.admit("a", of(1, size=30)):
        assert is_admitted(admission, of(1, size=size)) is is_room


@pytest.mark.parametrize("images", [of(11), of(1, size=101)])
def test_an_idle_server_admits_any_one_request(images):
    assert is_admitted(Admission(10, 100), images)


def test_a_request_without_images_needs_no_room():
    admission = Admission(10, 100)
    with admission.admit("a", of(11)):
        assert is_admitted(admission, [])


def test_a_failing_request_gives_its_room_back():
    admission = Admission(10, 100)
    with pytest.raises(ValueError, match="mid-request"), admission.admit("a", of(3)):
        raise ValueError("mid-request")
    assert (admission.images, admission.bytes) == (0, 0)


def test_a_refused_request_takes_no_room():
    admission = Admission(1, 100)
    with admission.admit("a", of(1)):
        assert not is_admitted(admission, of(1))
        assert (admission.images, admission.bytes) == (1, 1)


def test_the_refusal_says_how_full_it_is_and_when_to_try_again():
    admission = Admission(2, 100)
    with (
        admission.admit("a", of(2, size=5)),
        pytest.raises(OverloadedError, match=r"2 of 2 images and 10 of 100 bytes") as caught,
        admission.admit("a", of(1)),
    ):
        pass
    assert caught.value.retry_after_seconds == RETRY_AFTER_SECONDS > 0


@pytest.mark.parametrize("images", [of(5), of(1, size=50)])
def test_a_tenant_that_fills_its_half_leaves_room_for_another(images):
    admission = Admission(10, 100)
    with admission.admit("a", images):
        assert not is_admitted(admission, of(1), "a")
        assert is_admitted(admission, of(1), "b")


def test_a_tenant_that_holds_nothing_may_take_more_than_its_half():
    admission = Admission(10, 100)
    with admission.admit("a", of(2)):
        assert is_admitted(admission, of(8), "b")
