"""New exemplar ids are UUIDv7 (RFC 9562, section 5.7)."""

import time
import uuid

import pytest

from exemplar_server.core.exemplars import new_exemplar_id

# The test vector of RFC 9562, appendix A.6: 2022-02-22 14:22:22 UTC.
RFC_NANOSECONDS = 0x017F22E279B0 * 1_000_000
RFC_PREFIX = "017f22e2-79b0-7"


def at(monkeypatch, nanoseconds):
    monkeypatch.setattr(time, "time_ns", lambda: nanoseconds)
    return new_exemplar_id()


def test_an_id_is_a_uuid_of_version_7_and_the_rfcs_variant():
    made = uuid.UUID(new_exemplar_id())
    assert (made.version, made.variant) == (7, uuid.RFC_4122)


def test_an_id_is_written_in_the_usual_form():
    made = new_exemplar_id()
    assert str(uuid.UUID(made)) == made


def test_an_id_starts_with_the_rfcs_test_vector_at_its_time(monkeypatch):
    assert at(monkeypatch, RFC_NANOSECONDS).startswith(RFC_PREFIX)


@pytest.mark.parametrize("milliseconds", [1, 1000, 86_400_000, 10**12])
def test_an_id_made_later_sorts_later(monkeypatch, milliseconds):
    early = at(monkeypatch, RFC_NANOSECONDS)
    assert early < at(monkeypatch, RFC_NANOSECONDS + milliseconds * 1_000_000)


def test_ids_of_one_millisecond_differ(monkeypatch):
    made = {at(monkeypatch, RFC_NANOSECONDS) for _ in range(1000)}
    assert len(made) == 1000
