"""The gate: what is worse by more than one point is refused, and nothing else."""

import numpy as np
import pytest

from exemplar_server.core.upgrade_gate import is_worse, measure
from exemplar_server.core.upgrade_ports import Sample
from exemplar_server.core.upgrades import Gate
from fakes import DIM

AXES = np.eye(DIM, dtype=np.float32)


def sample(labels, old_axes, new_axes):
    return Sample(1, labels, AXES[old_axes], AXES[new_axes])


@pytest.mark.parametrize(
    ("old", "new", "refused"),
    [(0.9, 0.95, False), (0.9, 0.9, False), (0.9, 0.89, False), (0.9, 0.8899, True), (1, 0, True)],
)
def test_one_point_is_not_more_than_one_point(old, new, refused):
    assert is_worse(Gate(old, new, 100)) is refused


def test_each_space_is_answered_by_its_own_neighbors():
    labels = list("aabb")
    assert measure(sample(labels, [0, 0, 1, 1], [0, 0, 1, 1])) == Gate(1.0, 1.0, 4)
    worse = measure(sample(labels, [0, 0, 1, 1], [0, 1, 1, 0]))
    assert worse.old_accuracy == 1.0
    assert worse.new_accuracy < 1.0


def test_exemplars_that_are_alone_with_their_label_do_not_count():
    assert measure(sample(list("aab"), [0, 0, 1], [0, 0, 1])).exemplar_count == 2


@pytest.mark.parametrize("labels", [[], ["a"], ["a", "b", "c"]])
def test_where_no_label_has_two_there_is_nothing_to_measure(labels):
    axes = list(range(len(labels)))
    assert measure(sample(labels, axes, axes)) == Gate(0.0, 0.0, 0)
