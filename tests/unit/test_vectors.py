"""Ready-made embeddings: scaled to unit length, or refused with what is wrong."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from exemplar_server.core.embedder import Backbone
from exemplar_server.core.vectors import Vector, unit_embedding
from exemplar_server.errors import FingerprintMismatchError, InvalidInputError
from fakes import DIM, FINGERPRINT, FakeManifest

BACKBONE = Backbone(FakeManifest(), "none")
floats = st.floats(width=32, allow_nan=False, allow_infinity=False)
directions = arrays(np.float32, DIM, elements=floats).filter(np.any)


def unit(values, dim=DIM, fingerprint=FINGERPRINT):
    data = np.asarray(values, "<f4").tobytes()
    return unit_embedding(Vector(data, dim, fingerprint), BACKBONE)


@given(directions)
def test_any_finite_vector_gets_unit_length(values):
    unit_D = unit(values)
    assert unit_D.dtype == np.float32
    assert np.linalg.norm(unit_D.astype(np.float64)) == pytest.approx(1.0, abs=1e-6)


@given(directions)
def test_the_direction_stays(values):
    wide_D = values.astype(np.float64)
    expected_D = wide_D / np.linalg.norm(wide_D)
    np.testing.assert_allclose(unit(values), expected_D, atol=1e-6)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_value_that_is_not_finite_is_refused(value):
    with pytest.raises(InvalidInputError, match="expected finite values"):
        unit([1.0, value, 0.0, 0.0])


def test_a_vector_of_zeros_is_refused():
    with pytest.raises(InvalidInputError, match="not all zero"):
        unit(np.zeros(DIM))


@pytest.mark.parametrize(("values", "dim"), [([1.0] * 3, 3), ([1.0] * 3, DIM), ([1.0] * DIM, 3)])
def test_a_wrong_dim_or_byte_count_is_refused(values, dim):
    with pytest.raises(InvalidInputError, match="expected dim 4 in 16 bytes, got dim"):
        unit(values, dim=dim)


def test_another_embedding_space_is_refused():
    with pytest.raises(FingerprintMismatchError, match="fingerprint: expected ffff"):
        unit([1.0] * DIM, fingerprint="0" * 64)


def test_a_long_fingerprint_is_not_repeated_in_full():
    with pytest.raises(FingerprintMismatchError) as caught:
        unit([1.0] * DIM, fingerprint="0" * 10_000)
    assert len(str(caught.value)) < 300
