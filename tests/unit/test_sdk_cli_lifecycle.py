"""Claims about the commands on what becomes of support sets, against a server in this process."""

import pytest

from exemplar import cli
from unit.sdk_fake_server import FakeServer
from unit.sdk_serving import serving


@pytest.fixture
def fake():
    return FakeServer()


@pytest.fixture
def run(fake, capsys, tmp_path):
    """Runs commands; "inspection" has two exemplars."""
    for name in ("ok/a1.jpg", "scratch/b1.jpg"):
        path = tmp_path / name
        path.parent.mkdir()
        path.write_bytes(path.name.encode())
    with serving(fake) as target:

        def run(*arguments):
            code = cli.main(["--server", target, *map(str, arguments)])
            printed = capsys.readouterr()
            return code, printed.out, printed.err

        run("add", "inspection", tmp_path)
        yield run


def test_exemplars_are_relabelled_and_missing_ones_named(run, fake):
    code, out, err = run("relabel", "inspection", "dent", "id-00000", "nobody")
    assert (code, out) == (1, "inspection: 1 relabelled, revision 3\n")
    assert err.startswith("nobody: NOT_FOUND")
    assert [e.label for e in fake.sets["inspection"].exemplars.values()] == ["dent", "scratch"]
