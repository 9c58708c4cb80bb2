"""Views that are kept as runs: resumed to the same bits, what is below the adapter stays."""

import signal

import pytest
import torch

from exemplar_training.embedder import Embedder
from exemplar_training.errors import ConfigError
from exemplar_training.evaluation.embeddings import embed
from exemplar_training.fit.kept import below_trunk
from exemplar_training.fit.trained import trained_backbone
from exemplar_training.self_supervised import kept_views
from fit_runs import IMAGES, Failing, assert_equal, content, fit, told, with_files
from ssl_runs import SMALL

pytestmark = pytest.mark.usefixtures("one_thread")
METHODS = ("moco", "byol")  # those with more state than an adapter: a queue, slow copies
EVERY = pytest.mark.parametrize("method", METHODS)
# A hidden layer has BatchNorm: its statistics move too.
KEPT = {**SMALL, "views__kept": 3, "model__adapter": 16, "model__adapter_width": 16}
KEPT |= {"model__trained": "last_block", "schedule__steps": 5, "data__workers": 0}


def by_torch(backbone, images, side, shown):
    """As `embedded_below_adapter`, without the seconds that an export takes."""
    below = Embedder(below_trunk(backbone)).eval()

    def run(images_BHWC):
        with torch.no_grad():
            return below(torch.from_numpy(images_BHWC)).numpy()

    size = backbone.spec.input_size
    return torch.from_numpy(embed(images, size, run, "", batch=4, threads=2, shown=shown))


@pytest.fixture(autouse=True)
def quickly(monkeypatch):
    monkeypatch.setattr(kept_views, "embedded_below_adapter", by_torch)


@pytest.fixture(scope="module")
def runs(whole, tmp_path_factory):
    """A run of each method on the run `whole`, that nothing interrupted."""
    out = tmp_path_factory.mktemp("kept")
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(kept_views, "embedded_below_adapter", by_torch)
        for method in METHODS:
            fit(out / method, method=method, model__init=str(whole), **KEPT)
    return out


@EVERY
def test_a_stopped_run_goes_on_to_the_same_bits(method, whole, runs, tmp_path):
    # The second image that is read: the views are all made before the first step.
    ask = with_files(Failing(IMAGES.files, 2, lambda: signal.raise_signal(signal.SIGTERM)))
    changes = {"method": method, "model__init": str(whole), **KEPT}
    assert fit(tmp_path, ask, **changes).step == 1
    fit(tmp_path, is_resumed=True, **changes)
    assert_equal(content(tmp_path), content(runs / method))
    assert told(tmp_path) == told(runs / method)


@EVERY
def test_the_adapter_learns_and_nothing_below_it_moves_by_a_bit(method, whole, runs):
    before = Embedder(trained_backbone(whole)).state_dict()
    after = Embedder(trained_backbone(runs / method)).state_dict()
    below = {name.replace("trunk.trunk.", "trunk."): name for name in after}
    assert all(torch.equal(after[below[name]], value) for name, value in before.items())
    assert after["trunk.adapter.layers.1.num_batches_tracked"] > 0


def test_no_image_is_read_again_after_its_views_are_made(whole, tmp_path):
    # Once for its views and once to be watched.
    reads = Failing(
        IMAGES.files, 2 * len(IMAGES) + 1, lambda: pytest.fail("an image was read again")
    )
    fit(tmp_path, with_files(reads), method="simclr", model__init=str(whole), **KEPT)


def test_views_that_no_adapter_learns_from_are_refused(tmp_path):
    with pytest.raises(ConfigError, match=r"views\.kept: expected simclr, .*, got cpc, 16 and"):
        fit(tmp_path, method="cpc", **KEPT)
