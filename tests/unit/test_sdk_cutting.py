"""Claims about how jobs are cut into requests."""

from hypothesis import given
from hypothesis import strategies as st

from exemplar.cutting import FIELD_BYTES, Cutter, contents, cut, merge, renumber
from exemplar.embedding import ItemError

MOST_BYTES = 100

images = st.binary(max_size=150)
slots = st.lists(images | st.just(ItemError("INVALID_INPUT", "no")))
counts = st.integers(1, 5)


def requests_of(items, most_count):
    return list(cut(items, Cutter(len, MOST_BYTES, most_count)))


@given(slots, counts)
def test_order_and_count_are_kept(items, most_count):
    flat = [slot for request in requests_of(items, most_count) for slot in request]
    fits = [isinstance(i, bytes) and len(i) + FIELD_BYTES <= MOST_BYTES for i in items]
    assert len(flat) == len(items)
    assert [slot for slot in flat if isinstance(slot, bytes)] == [
        item for item, does_fit in zip(items, fits, strict=True) if does_fit
    ]
    assert [isinstance(slot, bytes) for slot in flat] == fits


@given(slots, counts)
def test_no_request_is_over_a_limit(items, most_count):
    for request in requests_of(items, most_count):
        assert sum(len(image) + FIELD_BYTES for image in contents(request)) <= MOST_BYTES
        assert len(contents(request)) <= most_count


@given(slots, counts)
def test_only_the_last_request_may_hold_nothing_to_send(items, most_count):
    assert all(contents(request) for request in requests_of(items, most_count)[:-1])


@given(slots)
def test_each_result_comes_to_its_place(items):
    merged = merge(items, contents(items), lambda error: error)
    assert merged == items


def test_a_message_names_the_position_in_the_whole_job():
    error = ItemError("INVALID_INPUT", "queries[3].image: expected queries[3]")
    assert renumber(error, 70).message == "queries[70].image: expected queries[3]"
