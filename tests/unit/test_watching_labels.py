"""What labels are looked at for while none is learned from: neighbors of the same label."""

import numpy as np
import pytest
import torch

from exemplar_training.data.balanced import balanced_rows
from exemplar_training.data.image_set import ImageSet
from exemplar_training.self_supervised.nearest import TEMPERATURE, asked_of


def images(class_ids, sources=None):
    class_ids_N = np.array(class_ids, np.int64)
    names = tuple(map(str, range(max(class_ids) + 1)))
    sources_N = None if sources is None else np.array(sources, np.int64)
    return ImageSet("some", [b""] * len(class_ids), class_ids_N, names, sources_N)


def embeddings(count, dim=5, seed=0):
    rows_ND = torch.randn(count, dim, generator=torch.Generator().manual_seed(seed))
    return torch.nn.functional.normalize(rows_ND)


def in_a_loop(asked, embeddings_ND):
    """The definition: one image after the other, one neighbor after the other."""
    right = []
    for row, is_asked in enumerate(asked.is_asked_N.tolist()):
        others = [
            n for n in range(len(embeddings_ND)) if asked.sources_N[n] != asked.sources_N[row]
        ]
        cosines = {n: float(embeddings_ND[n] @ embeddings_ND[row]) for n in others}
        votes = dict.fromkeys(asked.class_ids_N.tolist(), 0.0)
        for near in sorted(others, key=cosines.__getitem__, reverse=True)[: asked.k]:
            votes[int(asked.class_ids_N[near])] += np.exp(cosines[near] / TEMPERATURE)
        if is_asked:
            right.append(max(votes, key=votes.__getitem__) == int(asked.class_ids_N[row]))
    return np.mean(right)


@pytest.mark.parametrize("sources", [None, [0, 1, 2] * 14])
def test_the_accuracy_is_the_loop_of_its_definition(sources):
    asked = asked_of(images([0, 1, 2, 2, 1, 0, 0] * 6, sources), 32, seed=0)
    embeddings_ND = embeddings(42)
    expected = in_a_loop(asked, embeddings_ND)
    assert 0.1 < expected < 0.9
    assert asked.accuracy(3 * embeddings_ND).item() == pytest.approx(expected)


def test_images_of_one_source_are_no_neighbors():
    """Embeddings that know the font alone: of itself each letter would find its own font."""
    letters, fonts = np.repeat(np.arange(4), 6), np.tile(np.arange(6), 4)
    of_fonts_ND = torch.eye(6)[fonts] + 0.01 * torch.eye(24, 6)
    of_letters_ND = torch.eye(4)[letters] + 0.01 * embeddings(24, 4)
    asked = asked_of(images(letters.tolist(), fonts.tolist()), 32, seed=0)
    assert asked.accuracy(of_letters_ND) == 1
    assert asked.accuracy(of_fonts_ND) < 0.5
    assert asked.k == 5  # five other fonts have the letter


def test_as_many_neighbors_answer_as_the_rarest_label_has_and_who_is_alone_only_answers():
    asked = asked_of(images([0] * 30 + [1] * 4 + [2]), 32, seed=0)
    assert asked.k == 3
    assert asked.is_asked_N.tolist() == [True] * 34 + [False]
    assert asked_of(images([0, 1] * 60), 32, seed=0).k == 20


@pytest.mark.parametrize(
    "made", [images([0] * 9), images([0] * 9 + [1]), images([0, 1] * 5, [7] * 10)]
)
def test_where_no_two_labels_can_be_told_apart_nothing_is_asked(made):
    assert asked_of(made, 32, seed=0) is None


@pytest.mark.parametrize(
    ("each", "input_size", "count"),
    [(30, 32, 250), (4000, 32, 4090), (4000, 224, 1780), (300, 32, 750), (20, 32, 200)],
)
def test_a_quarter_of_the_images_is_looked_at_within_bounds_and_equally_many_a_label(
    each, input_size, count
):
    made = images(np.repeat(np.arange(10), each).tolist())
    rows_N = asked_of(made, input_size, seed=3).rows_N
    assert len(rows_N) == len(set(rows_N.tolist())) == count
    assert set(np.bincount(made.class_ids_N[rows_N])) == {count // 10}
    assert rows_N.tolist() == asked_of(made, input_size, seed=3).rows_N.tolist()
    assert rows_N.tolist() != asked_of(made, input_size, seed=4).rows_N.tolist() or count == 200


def test_of_very_many_labels_whole_ones_are_left_out():
    rows_N = balanced_rows(np.repeat(np.arange(100), 20), 256, 10, np.random.default_rng(0))
    assert set(np.bincount(rows_N // 20).tolist()) == {0, 10}
    assert len(rows_N) == 250
