"""TensorBoard gets the numbers of the JSON lines, once each, also of a run that was resumed."""

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from exemplar_training.fit import metrics as logging
from fit_runs import fit, told


def scalars(run):
    """Step and value by the names that the event files have."""
    events = EventAccumulator(str(run / "tensorboard")).Reload()
    return {
        name: [(each.step, pytest.approx(each.value)) for each in events.Scalars(name)]
        for name in events.Tags()["scalars"]
    }


@pytest.mark.usefixtures("one_thread")
def test_tensorboard_shows_what_the_log_says(tmp_path):
    fit(tmp_path)
    shown = scalars(tmp_path)
    assert {"loss", "accuracy", "rate", "epoch", "images_per_second"} <= shown.keys()
    for name in ("loss", "accuracy", "rate", "epoch"):
        assert [(line["step"], line[name]) for line in told(tmp_path)] == shown[name]


def test_a_resumed_run_shows_each_step_once(tmp_path):
    for first, last, loss in ((0, 5, 1.0), (3, 7, 2.0)):  # stopped at 5, checkpoint at 3
        with logging.metrics(tmp_path, first) as log:
            for step in range(first + 1, last + 1):
                log.write(step, {"loss": loss})
    steps = [1, 2, 3, 4, 5, 6, 7]
    assert scalars(tmp_path)["loss"] == list(zip(steps, [1.0] * 3 + [2.0] * 4, strict=True))
    assert [line["step"] for line in logging.read(tmp_path)] == steps
