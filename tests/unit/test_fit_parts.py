"""The trainer's parts: batches, augmentation, what learns, averages, checkpoints."""

import os
import random
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch

from exemplar_training import backbones
from exemplar_training.config import AugmentConfig, ScheduleConfig, SupervisedConfig
from exemplar_training.data.image_set import ImageSet
from exemplar_training.errors import CheckpointError, FitError, UnknownBackboneError
from exemplar_training.fit import checkpoint, random_states
from exemplar_training.fit.augment import augmented, turned
from exemplar_training.fit.batches import Batches, Shard, uniforms
from exemplar_training.fit.ema import Ema
from exemplar_training.fit.frozen import blocks, learning
from exemplar_training.fit.head import head_of_state, new_head, shape_of, upright
from exemplar_training.fit.images import few_of_each
from exemplar_training.fit.metrics import Metrics
from exemplar_training.fit.optimizers import rate_at
from exemplar_training.small_cnn import small_cnn
from training_images import squares

IMAGES = squares(20)


def batches(batch=6, shard=None):
    return Batches(IMAGES, 32, batch, seed=0, shard=shard or Shard())


def assert_equal(one, other):
    assert one.step == other.step
    for name in ("image_BHWC", "class_ids_B", "uniform_BK"):
        assert torch.equal(getattr(one, name), getattr(other, name))


# Batches


def test_an_epoch_shows_each_image_once_and_the_next_in_another_order():
    every = torch.cat([batches(4).at(step).image_BHWC for step in range(10)])
    first, second = every[:20].flatten(1).tolist(), every[20:].flatten(1).tolist()
    assert len({tuple(row) for row in first}) == 20
    assert first != second
    assert sorted(first) == sorted(second)


@pytest.mark.parametrize("workers", [0, 1, 3])
def test_a_stream_from_any_step_gives_what_each_step_gives(workers):
    streamed = list(batches().stream(2, 9, workers))
    assert [batch.step for batch in streamed] == list(range(2, 9))
    for batch in streamed:
        assert_equal(batch, batches().at(batch.step))


def test_shards_are_the_whole_batch():
    whole = batches().at(3)
    for index in (0, 1):
        part = batches(shard=Shard(index, 2)).at(3)
        for name in ("image_BHWC", "class_ids_B", "uniform_BK"):
            assert torch.equal(getattr(part, name), getattr(whole, name)[index::2])


def test_a_batch_may_be_larger_than_the_set():
    assert batches(50).at(0).image_BHWC.shape == (50, 32, 32, 3)


def test_what_cannot_be_batched_is_refused():
    with pytest.raises(FitError, match=r"data\.batch: expected a multiple of the 4 processes, got"):
        batches(6, Shard(0, 4))
    with pytest.raises(FitError, match="expected images in squares, got none"):
        Batches(IMAGES.of([]), 32, 4, seed=0)


def test_a_broken_file_is_named():
    broken = ImageSet("mine", [b"no image"], np.zeros(1, np.int64), ("a",))
    with pytest.raises(FitError, match=r"mine\[0\]: expected a JPEG"):
        Batches(broken, 32, 1, seed=0).at(0)


def test_a_few_of_each_class_are_drawn_by_the_seed():
    few = few_of_each(IMAGES, 2, seed=1)
    assert np.bincount(few.class_ids_N).tolist() == [2] * 6
    assert [*few.files] == [*few_of_each(IMAGES, 2, seed=1).files]
    assert [*few.files] != [*few_of_each(IMAGES, 2, seed=2).files]
    assert few_of_each(IMAGES, 0, seed=1) is IMAGES


# Augmentation


def test_no_augmentation_leaves_the_images_alone():
    batch = batches().at(0)
    same = augmented(batch.image_BHWC, batch.uniform_BK, AugmentConfig())
    assert torch.equal(same, batch.image_BHWC)


def test_a_flip_mirrors_about_half_of_the_images():
    batch = batches(40).at(0)
    flipped = augmented(batch.image_BHWC, batch.uniform_BK, AugmentConfig(flip=True))
    is_mirrored = [
        torch.equal(a, b.flip(1)) for a, b in zip(flipped, batch.image_BHWC, strict=True)
    ]
    is_same = [torch.equal(a, b) for a, b in zip(flipped, batch.image_BHWC, strict=True)]
    assert [a != b for a, b in zip(is_mirrored, is_same, strict=True)] == [True] * 40
    assert 10 < sum(is_mirrored) < 30


def test_an_inversion_turns_half_of_the_images_flipped_or_not():
    batch = batches(40).at(0)
    both = augmented(batch.image_BHWC, batch.uniform_BK, AugmentConfig(flip=True, invert=True))
    flipped = augmented(batch.image_BHWC, batch.uniform_BK, AugmentConfig(flip=True))
    is_turned = [torch.equal(a, 255 - b) for a, b in zip(both, flipped, strict=True)]
    is_same = [torch.equal(a, b) for a, b in zip(both, flipped, strict=True)]
    assert [a != b for a, b in zip(is_turned, is_same, strict=True)] == [True] * 40
    is_flipped = (batch.uniform_BK[:, 0] < 0.5).tolist()
    counts = Counter(zip(is_flipped, is_turned, strict=True))
    assert len(counts) == 4
    assert min(counts.values()) >= 4


def test_a_crop_of_everything_is_the_image_and_a_small_one_shows_a_part():
    ramp_BHWC = (
        torch.arange(32, dtype=torch.uint8).mul(8).reshape(1, 1, 32, 1).expand(64, 32, 32, 3)
    )
    uniform_BK = uniforms(0, 0, 64)
    uniform_BK[:, 2] = 0.5  # square
    uniform_BK[0, 1] = 1.0  # the whole area
    cropped = augmented(ramp_BHWC, uniform_BK, AugmentConfig(crop=0.25))
    assert torch.equal(cropped[0], ramp_BHWC[0])
    width_B = (cropped[:, 0, -1, 0].int() - cropped[:, 0, 0, 0].int()) / 248
    torch.testing.assert_close(width_B, (0.25 + 0.75 * uniform_BK[:, 1]).sqrt(), atol=0.04, rtol=0)
    assert cropped[:, 0, 0, 0].unique().numel() > 10


def test_color_changes_gray_by_brightness_and_contrast_alone():
    gray_BHWC = torch.full((8, 4, 4, 3), 100, dtype=torch.uint8)
    uniform_BK = uniforms(0, 0, 8)
    colored = augmented(gray_BHWC, uniform_BK, AugmentConfig(color=0.4))
    expected_B = (100 * (1 + 0.4 * (2 * uniform_BK[:, 5] - 1))).round()
    torch.testing.assert_close(colored.float(), expected_B[:, None, None, None].expand(8, 4, 4, 3))


def test_a_turned_image_is_of_the_class_of_its_turn_whatever_else_is_done_to_it():
    batch = batches(40).at(0)
    after = turned(batch, class_count=6)
    turn_B = (after.class_ids_B - batch.class_ids_B) // 6
    assert set(turn_B.tolist()) == {0, 1, 2, 3}
    for turn, one, other in zip(turn_B.tolist(), batch.image_BHWC, after.image_BHWC, strict=True):
        assert torch.equal(other, one.rot90(turn, (0, 1)))
    bits = zip((batch.uniform_BK[:, 0] * 4).to(torch.int64).tolist(), turn_B.tolist(), strict=True)
    assert len(set(bits)) > 12  # of 16: flips and inversions say nothing of turns


def test_a_head_that_knows_turns_answers_for_images_that_are_not_turned():
    for classifier in ("cosine", "linear"):
        config = SupervisedConfig(classifier=classifier, turned=True)
        head = new_head(config, dim=4, class_count=3, seed=0)
        assert shape_of(head) == (12, 4)
        answering = head_of_state(upright(head.state_dict()))
        embedding_BD = torch.randn(5, 4, generator=torch.Generator().manual_seed(0))
        torch.testing.assert_close(answering(embedding_BD), head(embedding_BD)[:, :3])


# What learns


def test_the_last_block_of_lite0_is_its_last_convolution_and_an_unused_layer_never_learns():
    trunk = backbones.build("lite0").trunk
    network = trunk.network
    last = (network.get_submodule("_conv_head"), network.get_submodule("_bn1"))
    assert blocks(trunk, 64)[-1].modules == last
    learning(trunk, "all", 64)
    assert [n for n, p in network.named_parameters() if not p.requires_grad] == [
        "_fc.weight",
        "_fc.bias",
    ]


def test_a_residual_networks_blocks_are_its_own():
    network = backbones.untrained("resnet18", seed=0).trunk
    found = blocks(network, 64)
    assert found[0].modules == (network.conv1, network.bn1)
    assert [block.modules[0] for block in found[-2:]] == list(network.layer4)
    assert len(found) == 9


def test_rates_fall_from_the_last_block_to_the_first():
    trunk = small_cnn().trunk
    groups = learning(trunk, "all", 32).groups(0.5)
    assert [group.rate_scale for group in groups] == [0.125, 0.25, 0.5, 1.0]
    assert sum(p.numel() for g in groups for p in g.parameters) == sum(
        p.numel() for p in trunk.parameters()
    )


def test_a_seed_names_the_weights_of_an_untrained_backbone():
    one, same, other = (small_cnn(seed=seed).trunk.state_dict() for seed in (1, 1, 2))
    assert all(torch.equal(one[name], same[name]) for name in one)
    assert not torch.equal(one["blocks.0.conv.weight"], other["blocks.0.conv.weight"])


@pytest.mark.parametrize(
    ("sizes", "message"), [((48, 128), "32 or 64, got 48"), ((32, 8), "got 8")]
)
def test_sizes_that_the_small_backbone_has_not_are_refused(sizes, message):
    with pytest.raises(UnknownBackboneError, match=message):
        small_cnn(*sizes)


def test_the_rate_rises_then_falls_to_nothing():
    config = ScheduleConfig(steps=10, warmup_steps=3)
    rates = [rate_at(step, config) for step in range(11)]
    assert rates[:4] == [0.25, 0.5, 0.75, 1.0]
    assert rates[3:] == sorted(rates[3:], reverse=True)
    assert rates[10] == pytest.approx(0)


def test_the_average_follows_weights_and_statistics_and_copies_counters():
    module = torch.nn.BatchNorm1d(2)
    ema = Ema(module, decay=0.75)
    with torch.no_grad():
        module.weight.fill_(3.0)
        module.running_mean.fill_(4.0)
        module.num_batches_tracked.fill_(7)
    ema.update(module, step=100)
    state = ema.state_dict()
    assert state["weight"].tolist() == [1.5, 1.5]
    assert state["running_mean"].tolist() == [1.0, 1.0]
    assert state["num_batches_tracked"] == 7
    assert torch.equal(state["bias"], module.bias)


# Checkpoints and logs


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no file system that is always full")
def test_a_full_disk_ends_the_log_with_one_line():
    with pytest.raises(FitError, match=r"metrics\.jsonl: expected room for .*No space left"):
        Metrics(Path("/dev/full"), None).write(1, {"loss": 0.5})


@pytest.fixture
def saved(tmp_path):
    path = tmp_path / checkpoint.FILE
    checkpoint.save(path, {"step": 3, "weights": torch.arange(100.0), "none": None})
    return path


def test_a_checkpoint_says_what_was_saved(saved):
    content = checkpoint.load(saved)
    assert (content["step"], content["none"]) == (3, None)
    assert torch.equal(content["weights"], torch.arange(100.0))


@pytest.mark.parametrize("share", [0.0, 0.001, 0.02, 0.5, 0.999])
def test_a_checkpoint_that_was_cut_off_is_never_loaded(saved, share):
    whole = saved.read_bytes()
    saved.write_bytes(whole[: int(len(whole) * share)])
    with pytest.raises(CheckpointError, match=r"checkpoint\.pt: expected"):
        checkpoint.load(saved)


@pytest.mark.parametrize("place", [3, 25, 40, 70, -1])
def test_a_checkpoint_with_a_changed_bit_is_never_loaded(saved, place):
    data = bytearray(saved.read_bytes())
    data[place] ^= 1
    saved.write_bytes(data)
    with pytest.raises(CheckpointError, match=r"checkpoint\.pt: expected"):
        checkpoint.load(saved)


def test_a_write_that_fails_leaves_the_checkpoint_that_was_there(saved, monkeypatch):
    def refuse(_):
        raise OSError("no space left on device")

    monkeypatch.setattr(os, "fsync", refuse)
    with pytest.raises(CheckpointError, match="expected a writable folder, got no space"):
        checkpoint.save(saved, {"step": 4})
    assert checkpoint.load(saved)["step"] == 3
    assert [path.name for path in saved.parent.iterdir()] == [checkpoint.FILE]


def test_every_random_generator_goes_on_where_it_was(tmp_path):
    def draw():
        return random.random(), np.random.random(), torch.rand(2).tolist()  # noqa: NPY002, S311

    random_states.seed_all(5, rank=0)
    draw()
    checkpoint.save(tmp_path / "states", random_states.states())
    expected = draw()
    random_states.seed_all(5, rank=1)
    assert draw() != expected
    random_states.put_back(checkpoint.load(tmp_path / "states"))
    assert draw() == expected
