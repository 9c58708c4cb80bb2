"""Claims about embeddings in the caller's hands."""

import numpy as np
import pytest

from exemplar import Embedding, ItemError, ItemFailedError

VALUES = [0.6, -0.8, 0.0]
MADE = Embedding.from_values(VALUES, "f" * 64)
FAILED = Embedding(b"", "", ItemError("UNDECODABLE_IMAGE", "images[1]: not an image"))


def test_numpy_reads_an_embedding_as_float32():
    array = np.asarray(MADE)
    assert array.dtype == np.float32
    np.testing.assert_array_equal(array, np.float32(VALUES))


def test_numpy_reads_a_list_of_embeddings_as_a_matrix():
    assert np.asarray([MADE, MADE]).shape == (2, 3)


def test_an_embedding_reads_what_numpy_wrote():
    assert Embedding.from_values(np.asarray(MADE), MADE.fingerprint) == MADE


def test_an_embedding_is_a_sequence_of_floats():
    assert len(MADE) == MADE.dim == 3
    assert list(MADE) == list(np.float32(VALUES))
    assert MADE[1] == np.float32(-0.8)
    assert MADE.values.format == "f"


@pytest.mark.parametrize("read", [np.asarray, list, len, lambda e: e.values, lambda e: e.dim])
def test_reading_a_failed_embedding_raises_why_it_failed(read):
    with pytest.raises(ItemFailedError, match=r"images\[1\]: not an image") as raised:
        read(FAILED)
    assert raised.value.reason == "UNDECODABLE_IMAGE"


def test_an_embedding_shows_its_dim_not_its_values():
    assert repr(MADE) == "Embedding(dim=3, fingerprint='ffffffffffff'...)"
    assert "UNDECODABLE_IMAGE" in repr(FAILED)
