"""Domain adaptation as runs: to the same bits after a stop, from what has learned the classes."""

import signal

import pytest
import torch

from exemplar_training.errors import CheckpointError, ConfigError
from exemplar_training.fit.head import shape_of
from exemplar_training.fit.trained import trained_backbone, trained_head
from fit_runs import IMAGES, Failing, assert_equal, content, fit, told, with_files
from training_images import squares

pytestmark = pytest.mark.usefixtures("one_thread")
TARGET = squares(26, seed=1)


def stop():
    signal.raise_signal(signal.SIGTERM)


@pytest.mark.parametrize("method", ["mmd", "dann"])
def test_two_domains_stopped_go_on_to_the_same_bits(method, tmp_path):
    changes = {"method": method, "target__batch": 8, "target__name": "squares"}
    changes |= {"schedule__steps": 4, "schedule__warmup_steps": 0, "data__workers": 0}
    fit(tmp_path / "whole", target=TARGET, **changes)
    failing = with_files(Failing(IMAGES.files, 8 + 1, stop))
    assert fit(tmp_path / "cut", failing, target=TARGET, **changes).step == 2
    fit(tmp_path / "cut", target=TARGET, is_resumed=True, **changes)
    assert_equal(content(tmp_path / "cut"), content(tmp_path / "whole"))
    assert told(tmp_path / "cut") == told(tmp_path / "whole")
    origin = trained_backbone(tmp_path / "cut").spec.origin
    assert origin.startswith(f"{method}, 4 steps on a folder of images and unlabelled squares;")


@pytest.mark.parametrize("method", ["adabn", "tent", "shot"])
def test_source_free_methods_start_from_a_run_and_stopped_go_on(method, whole, tmp_path):
    changes = {"method": method, "target__batch": 8, "target__workers": 0, "schedule__steps": 4}
    changes |= {"model__init": str(whole), "adaptation__relabel_steps": 3}
    fit(tmp_path / "whole", **changes)
    reads = 8 + 1 + (len(IMAGES) if method == "shot" else 0)  # pseudo-labels are of all images
    assert fit(tmp_path / "cut", with_files(Failing(IMAGES.files, reads, stop)), **changes).step < 4
    fit(tmp_path / "cut", is_resumed=True, **changes)
    assert_equal(content(tmp_path / "cut"), content(tmp_path / "whole"))
    head, source = trained_head(tmp_path / "cut").state_dict(), trained_head(whole).state_dict()
    assert all(torch.equal(head[name], source[name]) for name in source)


def test_a_published_backbone_adapts_with_its_own_classifier(tmp_path):
    model = {"model__backbone": "lite0", "model__input_size": 64, "model__dim": 0}
    fit(tmp_path, method="adabn", target__batch=2, schedule__steps=1, **model)
    assert shape_of(trained_head(tmp_path)) == (1000, 1280)


def test_what_knows_no_classes_is_refused(tmp_path):
    with pytest.raises(ConfigError, match=r"model\.init: expected a run to start from"):
        fit(tmp_path, method="tent")


def test_another_target_does_not_resume(tmp_path):
    changes = {"method": "mmd", "target__batch": 8, "schedule__steps": 1}
    fit(tmp_path, target=TARGET, **changes)
    with pytest.raises(CheckpointError, match="expected the same images, got others"):
        fit(tmp_path, target=squares(20), is_resumed=True, **changes)
