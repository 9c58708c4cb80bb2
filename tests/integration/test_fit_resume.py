"""Training goes on as if never stopped, and several processes train as one."""

import os
import re
import signal
import subprocess
import sys

import pytest
import torch

from exemplar_training import config_file
from exemplar_training.data.folder import load_folder
from exemplar_training.errors import CheckpointError, FitError
from exemplar_training.fit import checkpoint, metrics
from exemplar_training.fit.trained import embedder_state
from fit_runs import IMAGES, Failing, assert_equal, config, content, fit, told, with_files
from training_images import squares, write_folder

pytestmark = pytest.mark.usefixtures("one_thread")


def break_down():
    raise OSError("disk gone")


# Resume


def test_a_run_that_broke_down_goes_on_to_the_same_bits(whole, tmp_path):
    # The fourth batch fails: the checkpoint is of step 2, the log has a line of step 3.
    broken = with_files(Failing(IMAGES.files, 3 * 8 + 5, break_down))
    with pytest.raises(FitError, match="disk gone"):
        fit(tmp_path, broken, data__workers=0)
    assert (content(tmp_path)["step"], told(tmp_path)[-1]["step"]) == (2, 3)
    fit(tmp_path, is_resumed=True, data__workers=0)
    assert_equal(content(tmp_path)["random_by_rank"], content(whole)["random_by_rank"])
    for part in ("step", "facts", "module", "optimizer", "scheduler", "scaler", "ema"):
        assert_equal(content(tmp_path)[part], content(whole)[part], part)
    assert told(tmp_path) == told(whole)


def test_a_signal_ends_the_run_after_its_step_and_it_goes_on_to_the_same_bits(whole, tmp_path):
    def ask():
        signal.raise_signal(signal.SIGTERM)

    stopped = fit(tmp_path, with_files(Failing(IMAGES.files, 4 * 8 + 1, ask)), data__workers=0)
    assert (stopped.step, stopped.signal_number) == (5, signal.SIGTERM)
    assert content(tmp_path)["step"] == 5
    fit(tmp_path, is_resumed=True)
    assert_equal(content(tmp_path), content(whole))
    assert told(tmp_path) == told(whole)


def test_ctrl_c_leaves_a_checkpoint_that_the_command_goes_on_from(tmp_path):
    write_folder(IMAGES, tmp_path / "images")
    (tmp_path / "run.toml").write_text(config_file.as_toml(config(data__root="images")))
    python = [sys.executable, "-W", "error", "-m", "exemplar_training.cli"]
    command = [*python, "fit", "run.toml", "--out", "run"]
    endless = [*command, "--set", "schedule.steps=1000000"]
    with subprocess.Popen(
        endless, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout.readline().startswith("step 0 of 1000000: 20 images of 6 classes")
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    assert "stopping after this step" in err
    assert "next: exemplar-train fit run.toml --out run --resume" in out
    step = content(tmp_path / "run")["step"]
    assert 0 < step < 1_000_000
    assert re.search(rf"done at step {step} of 1000000", out)


def test_resume_without_a_checkpoint_starts(tmp_path):
    assert fit(tmp_path / "new", is_resumed=True, schedule__steps=1).step == 1


def test_a_run_without_steps_is_what_it_starts_from(whole, tmp_path):
    assert fit(tmp_path, model__init=str(whole), schedule__steps=0).step == 0
    start, end = (embedder_state(content(run)) for run in (whole, tmp_path))
    assert_equal(start, end)


def test_a_run_is_not_overwritten(whole):
    with pytest.raises(CheckpointError, match="--out: expected a folder without a run, got"):
        fit(whole)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"optimizer__rate": 1.0}, r"optimizer\.rate: expected 0\.003 as in .* got 1\.0"),
        ({"schedule__steps": 9}, r"schedule\.steps: expected 7"),
    ],
)
def test_another_configuration_does_not_resume(whole, changes, message):
    with pytest.raises(CheckpointError, match=message):
        fit(whole, is_resumed=True, **changes)


def test_other_images_do_not_resume(whole):
    with pytest.raises(CheckpointError, match="expected the same images, got others"):
        fit(whole, squares(26), is_resumed=True)


def test_a_checkpoint_that_is_not_whole_does_not_resume_and_stays(tmp_path):
    fit(tmp_path, schedule__steps=1)
    path = tmp_path / checkpoint.FILE
    cut = path.read_bytes()[:-100]
    path.write_bytes(cut)
    before = (tmp_path / metrics.FILE).read_bytes()
    with pytest.raises(CheckpointError, match="cut off"):
        fit(tmp_path, is_resumed=True, schedule__steps=1)
    assert (path.read_bytes(), (tmp_path / metrics.FILE).read_bytes()) == (cut, before)


# Several processes

BOTH_RANKS = """
import os
from pathlib import Path
import torch
from exemplar_training import config_file
from exemplar_training.data.folder import load_folder
from exemplar_training.fit import run as running

made, real = [], running.training_of
running.training_of = lambda *given: made.append(real(*given)) or made[0]
request = running.RunRequest(config_file.read(Path("run.toml")), Path("two"))
running.run(request, load_folder(Path("images")), print)
torch.save(made[0].method.module.state_dict(), f"rank{os.environ['RANK']}.pt")
"""


def test_two_processes_end_with_the_weights_of_one(tmp_path):
    changes = {"model__trained": "head", "optimizer__name": "sgd", "schedule__steps": 3}
    images = load_folder(write_folder(IMAGES, tmp_path / "images"))
    fit(tmp_path / "one", images, **changes)
    (tmp_path / "run.toml").write_text(config_file.as_toml(config(**changes)))
    (tmp_path / "both.py").write_text(BOTH_RANKS)
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    subprocess.run(
        [*command, "--nproc-per-node", "2", "both.py"],
        cwd=tmp_path,
        check=True,
        capture_output=True,
        env=os.environ | {"OMP_NUM_THREADS": "1", "PYTHONWARNINGS": "error"},
    )
    first, second = (torch.load(tmp_path / f"rank{rank}.pt") for rank in (0, 1))
    assert_equal(first, second)
    assert_equal(content(tmp_path / "two")["module"], first)
    one = content(tmp_path / "one")["module"]
    for name, value in one.items():
        torch.testing.assert_close(first[name], value, atol=1e-5, rtol=1e-4)
    losses = [[line["loss"] for line in told(tmp_path / run)] for run in ("one", "two")]
    assert losses[0] == pytest.approx(losses[1], rel=1e-4)
