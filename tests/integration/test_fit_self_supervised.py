"""Learning without labels as runs: stopped, in several processes, refused, exported."""

import os
import signal
import subprocess
import sys

import numpy as np
import onnxruntime
import pytest
import torch

from exemplar_server.core.artifact import golden_images, load_artifact
from exemplar_training import cli, config_file
from exemplar_training.backbones import build
from exemplar_training.data.folder import load_images
from exemplar_training.errors import CheckpointError, ConfigError, DataError
from exemplar_training.fit.run import RunRequest, run
from exemplar_training.fit.trained import trained_backbone, trained_head
from exemplar_training.self_supervised import watching
from exemplar_training.self_supervised.simclr import nt_xent
from exemplar_training.small_cnn import small_cnn
from fit_runs import IMAGES, Failing, assert_equal, config, content, fit, told, with_files
from ssl_runs import METHODS, SMALL
from training_images import squares, write_folder

pytestmark = pytest.mark.usefixtures("one_thread")
EVERY = pytest.mark.parametrize("method", METHODS)
RUN = SMALL | {"schedule__steps": 5, "schedule__warmup_steps": 0, "data__workers": 0}


@pytest.fixture(scope="module")
def runs(one_thread, tmp_path_factory):
    """A run of each method that nothing interrupted."""
    out = tmp_path_factory.mktemp("self_supervised")
    for method in METHODS:
        fit(out / method, method=method, **RUN)
    return out


@EVERY
def test_a_stopped_run_goes_on_to_the_same_bits(method, runs, tmp_path):
    """The queue, slow copies and what is watched too: step 3 of 5 begins the second epoch."""

    def stop():
        signal.raise_signal(signal.SIGTERM)

    # All 20 images are looked at once before the first step.
    failing = with_files(Failing(IMAGES.files, 20 + 2 * 8 + 1, stop))
    assert fit(tmp_path, failing, method=method, **RUN).step == 3
    fit(tmp_path, is_resumed=True, method=method, **RUN)
    assert_equal(content(tmp_path), content(runs / method))
    assert told(tmp_path) == told(runs / method)


@EVERY
def test_the_backbone_moves_and_no_label_is_learned_from(method, runs, tmp_path):
    others = squares(20)
    np.random.default_rng(0).shuffle(others.class_ids_N)
    fit(tmp_path, others, method=method, **RUN)
    one, other = content(tmp_path)["module"], content(runs / method)["module"]
    assert one.pop("watch.knn_accuracy") != other.pop("watch.knn_accuracy")  # for looking only
    assert_equal(one, other)
    start = small_cnn(dim=64).trunk.blocks[0].conv.weight
    end = content(tmp_path)["module"]["embedder.trunk.blocks.0.conv.weight"]
    assert not torch.equal(start, end)


@EVERY
def test_every_line_of_the_log_says_whether_anything_is_learned(method, runs):
    names = {"positive_similarity", "negative_similarity", "output_spread"}
    names |= {"effective_rank", "feature_spread", "knn_accuracy"}
    names |= {"ema_distance"} if method in ("moco", "byol") else set()
    names |= {"queue_age"} if method == "moco" else set()
    lines = told(runs / method)
    assert all(names <= line.keys() for line in lines)
    assert all(np.isfinite([*line.values()]).all() for line in lines)
    looked = [line["effective_rank"] for line in lines]
    assert looked[0] == looked[1] == looked[2]  # steps 0, 1 and 2 are of the first epoch
    assert looked[2] != looked[3]


@EVERY
def test_bfloat16_learns_too(method, tmp_path):
    fit(tmp_path, method=method, compute__precision="bf16", **RUN | {"schedule__steps": 2})
    lines, state = told(tmp_path), content(tmp_path)["module"]
    assert np.isfinite([line["loss"] for line in lines]).all()
    assert {each.dtype for each in state.values()} <= {torch.float32, torch.int64}


def test_a_run_without_labels_is_exported_and_started_from(runs, tmp_path):
    arguments = ["export", "--checkpoint", str(runs / "byol"), "--out", str(tmp_path / "out")]
    assert cli.main(arguments) == 0
    artifact = load_artifact(tmp_path / "out" / "byol" / "1")
    assert artifact.manifest.provenance["method"].startswith("byol, 5 steps on a folder of images;")
    session = onnxruntime.InferenceSession(artifact.model_path)
    (served,) = session.run(["embedding"], {"image": golden_images(32)})
    assert served.shape[1] == 64
    with pytest.raises(CheckpointError, match="expected a run with a head, got one without"):
        trained_head(runs / "byol")
    fit(tmp_path / "next", model__init=str(runs / "moco"), schedule__steps=1)
    assert "before: moco, 5 steps" in trained_backbone(tmp_path / "next").spec.origin


def test_imagenets_weights_go_on_without_labels(tmp_path):
    model = {"model__backbone": "lite0", "model__dim": 0, "model__input_size": 64}
    model |= {"model__trained": "last_block", "data__batch": 4, "views__side": 48}
    fit(tmp_path, method="simclr", **RUN | model | {"schedule__steps": 1})
    before, after = (each.trunk.network for each in (build("lite0"), trained_backbone(tmp_path)))
    assert torch.equal(before._conv_stem.weight, after._conv_stem.weight)  # noqa: SLF001 - its name
    assert not torch.equal(before._conv_head.weight, after._conv_head.weight)  # noqa: SLF001


def test_a_folder_without_classes_is_enough(tmp_path, capsys):
    folder = tmp_path / "images"
    (folder / "more").mkdir(parents=True)
    for row, file in enumerate(IMAGES.files):
        (folder / ("more" if row % 2 else ".") / f"{row:02}.png").write_bytes(file)
    chosen = config(method="simsiam", data__root=str(folder), **RUN | {"schedule__steps": 1})
    (tmp_path / "run.toml").write_text(config_file.as_toml(chosen))
    command = ["fit", str(tmp_path / "run.toml"), "--out", str(tmp_path / "run")]
    assert cli.main(command) == 0
    assert "step 0 of 1: 20 unlabelled images, " in capsys.readouterr().out
    assert "knn_accuracy" not in told(tmp_path / "run")[0]


def test_the_folders_that_all_images_lie_in_are_looked_at_as_labels(tmp_path):
    folder = write_folder(IMAGES, tmp_path / "images")
    (folder / "red" / "deeper").mkdir()
    (folder / "red" / "000.png").rename(folder / "red" / "deeper" / "000.png")
    images = load_images(folder)
    assert images.class_names == tuple(sorted(IMAGES.class_names))
    found = [str(path).removeprefix(f"{folder}/").split("/")[0] for path in images.paths]
    assert found == [images.class_names[class_id] for class_id in images.class_ids_N]
    assert list(images.paths) == sorted(images.paths)


def test_an_empty_folder_is_refused(tmp_path):
    with pytest.raises(DataError, match=r"expected images \(\.jpeg .*\), found none"):
        load_images(tmp_path)
    with pytest.raises(DataError, match="expected a folder with images, found none"):
        load_images(tmp_path / "none")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"method": "simclr", "data__batch": 1},
            r"data\.batch: expected 2 images .* simclr, got 1",
        ),
        ({"method": "moco", "moco__queue": 4}, r"moco\.queue: expected a multiple .* 8 .*, got 4"),
        ({"method": "moco", "moco__queue": 12}, r"moco\.queue: .* a multiple of data\.batch = 8 "),
        ({"method": "moco", "moco__queue": 24}, r"moco\.queue: .* at most the 20 images, got 24"),
        ({"method": "moco", "moco__splits": 3}, r"moco\.splits: expected equal parts .*, got 3"),
        ({"method": "moco", "moco__splits": 8}, r"moco\.splits: .* of 2 and more of .* 8 images"),
        ({"method": "simclr", "simclr__temperature": 0.0}, r"simclr\.temperature: .* 0\.01, got 0"),
        ({"method": "moco", "moco__temperature": 0.0}, r"moco\.temperature: expected .* got 0\.0"),
        ({"method": "byol", "views__side": 64}, r"views\.side: expected at most 32 .* got 64"),
        ({"method": "cpc", "cpc__patch": 20}, r"cpc\.patch: .* at most 16 of views of 32, got 20"),
        ({"method": "cpc", "cpc__patch": 8}, r"cpc\.patch: .* large enough for small_cnn, got 8"),
        (
            {"method": "byol", "model__trained": "head"},
            r"model\.trained: .* byol, which has no head",
        ),
        ({"method": "byol", "augment__flip": True}, r"augment: expected nothing with byol, which"),
    ],
)
def test_what_cannot_work_is_refused_by_name(changes, message, tmp_path):
    with pytest.raises(ConfigError, match=message):
        fit(tmp_path, **RUN | changes)


def test_a_collapse_is_said_in_words(tmp_path, monkeypatch):
    monkeypatch.setattr(watching, "_LEAST_SPREAD", 2.0)  # above all that there are
    lines = []
    run(RunRequest(config(method="simsiam", **RUN), tmp_path), IMAGES, lines.append)
    said = [line for line in lines if "collapse" in line]
    assert len(said) == 1  # not at every step
    assert said[0].startswith("step 3: collapse: all images give nearly the same output")


# Several processes

TWO = """
import os
from contextlib import nullcontext
from pathlib import Path
import torch
from exemplar_training import config_file
from exemplar_training.data.folder import load_images
from exemplar_training.fit import run as running
from exemplar_training.fit.distributed import world
from exemplar_training.self_supervised.simclr import nt_xent

rank = int(os.environ["RANK"])
z = torch.load("z.pt")
with world("cpu") as here:
    own = [each[rank::2].clone().requires_grad_() for each in z]
    loss = nt_xent(*(here.joined(each) for each in own), 0.5)
    loss.backward()
    torch.save([loss.detach(), *(each.grad for each in own)], f"joined{rank}.pt")

    # One group of processes for all runs: a second one on the same store would wait forever.
    running.world = lambda _: nullcontext(here)
    made, real = [], running.training_of
    running.training_of = lambda *given: made.append(real(*given)) or made[-1]
    for method in ("simclr", "moco", "cpc"):
        request = running.RunRequest(config_file.read(Path(f"{method}.toml")), Path(method))
        running.run(request, load_images(Path("images")), lambda _: None)
        torch.save(made[-1].method.module.state_dict(), f"{method}{rank}.pt")
"""


def test_negatives_are_those_of_all_processes(tmp_path):
    """Gradients are those of one process over both, and both end with the same weights and keys."""
    generator = torch.Generator().manual_seed(0)
    z = [torch.randn(6, 4, generator=generator) for _ in range(2)]
    torch.save(z, tmp_path / "z.pt")
    write_folder(IMAGES, tmp_path / "images")
    few = RUN | {"schedule__steps": 3, "optimizer__ema_decay": 0.0}
    for method in ("simclr", "moco", "cpc"):
        (tmp_path / f"{method}.toml").write_text(config_file.as_toml(config(method=method, **few)))
    (tmp_path / "two.py").write_text(TWO)
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    subprocess.run(
        [*command, "--nproc-per-node", "2", "two.py"],
        cwd=tmp_path,
        check=True,
        capture_output=True,
        timeout=120,
        env=os.environ | {"OMP_NUM_THREADS": "1", "PYTHONWARNINGS": "error"},
    )
    check_joined(z, tmp_path)
    for method in ("simclr", "moco", "cpc"):
        first, second = (torch.load(tmp_path / f"{method}{rank}.pt") for rank in (0, 1))
        learned = {n for n in first if "running" not in n and "num_batches" not in n}
        for name in learned:
            assert torch.equal(first[name], second[name]), (method, name)
    born = torch.load(tmp_path / "moco0.pt")["queue.born_K"]
    assert born.tolist() == [2] * 8 + [1] * 8  # 8 keys a step, of both processes


def check_joined(z, folder):
    whole = [each.clone().requires_grad_() for each in z]
    expected = nt_xent(*whole, 0.5)
    expected.backward()
    for rank in (0, 1):
        loss, *gradients = torch.load(folder / f"joined{rank}.pt")
        torch.testing.assert_close(loss, expected.detach())
        for one, each in zip(gradients, whole, strict=True):
            # DDP takes the mean over both processes, each of which has the whole loss.
            torch.testing.assert_close(one / 2, each.grad[rank::2])
