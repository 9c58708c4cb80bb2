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


def test_images_are_kept_no_more(run, fake):
    kept = run("sets", "update", "inspection", "--keep-images")
    assert kept[1] == "inspection: images are kept, revision 3\n"
    deleted = run("sets", "update", "inspection", "--no-keep-images")
    assert deleted[1] == "inspection: 2 images deleted, revision 4\n"
    assert not fake.sets["inspection"].keep_images


def test_a_support_set_is_copied(run, fake):
    assert run("sets", "copy", "inspection", "new")[1] == "new: 2 exemplars, revision 3\n"
    assert len(fake.sets["new"].exemplars) == 2


def test_a_snapshot_is_made_listed_gone_back_to_and_deleted(run):
    made = run("sets", "snapshot", "inspection", "good")[1]
    assert made == "inspection: snapshot good has 2 exemplars of revision 2\n"
    assert run("sets", "snapshots", "inspection")[1].splitlines()[1].startswith("good      2")
    back = run("sets", "roll-back", "inspection", "good")[1]
    assert back == "inspection: as in good, 2 exemplars, revision 3\n"
    deleted = run("sets", "delete-snapshot", "inspection", "good")[1]
    assert deleted == "inspection: snapshot good deleted\n"
    assert len(run("sets", "snapshots", "inspection")[1].splitlines()) == 1


def test_a_support_set_is_warmed_up(run):
    assert run("sets", "warm-up", "inspection")[1] == (
        "inspection: revision 2 is ready, 4096 bytes in 2 ms\n"
    )


def test_a_tenant_is_deleted_with_its_name_again(run, fake):
    code, out, _ = run("delete-tenant", "acme")
    assert (code, out.splitlines()[0]) == (0, "deleted       acme")
    assert "support_sets  1" in out
    assert fake.sets == {}
