"""Fixtures of the tests that train; torch is imported only where one of them is used."""

import pytest


@pytest.fixture(scope="module")
def one_thread():
    """Two threads on a shared machine wait for each other more than they compute."""
    import torch  # noqa: PLC0415 - seconds, and most tests here need none of it

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def whole(one_thread, tmp_path_factory):
    """A run that nothing interrupted."""
    from fit_runs import fit  # noqa: PLC0415 - as above

    out = tmp_path_factory.mktemp("whole") / "run"
    assert fit(out).step == 7
    return out
