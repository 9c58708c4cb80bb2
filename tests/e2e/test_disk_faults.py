"""A disk that is full, fails or can only be read: changes are refused, and everything else goes on.

Real servers on SQLite, each on a disk of its own.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing, nullcontext
from dataclasses import dataclass, field

import grpc
import numpy as np
import pytest
from PIL import Image

from disks import break_disk, failing_writes, fill, loop_disk, small_disk
from exemplar.v1 import support_set_pb2 as sets
from pictures import encoded
from process_calls import addition, removal, serving

DISK_MEGABYTES = 48
BIG_PIXELS = 200  # 120 KB: noise cannot be compressed
MOST_ADDITIONS = 1000
REFUSED = (grpc.StatusCode.RESOURCE_EXHAUSTED, "STORE_UNAVAILABLE")


def noise(seed):
    pixels = np.random.default_rng(seed).integers(0, 256, (BIG_PIXELS, BIG_PIXELS, 3), np.uint8)
    return encoded(Image.fromarray(pixels))


def big_addition(number, name="set"):
    ids = [f"{number:03}-{n}" for n in range(4)]
    new = [sets.NewExemplar(label="big", image=noise(number), exemplar_id=i) for i in ids]
    return sets.AddExemplarsRequest(support_set=name, exemplars=new)


def refusal(change, *arguments):
    """The status and the reason that the change is refused with; None where it is made."""
    try:
        change(*arguments)
    except grpc.RpcError as error:
        return error.code(), dict(error.trailing_metadata())["exemplar-reason"]
    return None


def delete(calls, name):
    return calls.sets.DeleteSupportSet(sets.DeleteSupportSetRequest(name=name))


def begin(calls):
    """Support sets "set" with "a" and "b", and "other" with "c"."""
    for name in ("set", "other"):
        calls.create(name)
    calls.change(addition("set", ["a", "b"]))
    calls.change(addition("other", ["c"]))


def check(path):
    """What SQLite itself says of the file, once no server has it open."""
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute("PRAGMA integrity_check").fetchall()


@dataclass
class Full:
    """What happened on a disk that became full."""

    acknowledged: set[str] = field(default_factory=set)
    answers: dict = field(default_factory=dict)


@pytest.fixture(scope="module")
def full(backbone_dir):
    """One story: fill it, read, delete, start again while it is full, get room again."""
    story = Full()
    told = story.answers
    with small_disk(DISK_MEGABYTES) as folder:
        path = folder / "store.db"
        with serving(backbone_dir, path) as (_, calls):
            begin(calls)
            told["answers before"] = calls.answers("other")
            told["refused"] = fill_up(calls, story.acknowledged)
            filler = fill(folder)
            told["refused when nothing is left"] = refusal(calls.change, big_addition(0, "other"))
            told["ids"], told["count"] = calls.ids("set"), calls.describe("set").exemplar_count
            told["answers"] = calls.answers("other")
            told["removal"] = calls.change(removal("set", ["a", "000-0"]))
        with serving(backbone_dir, path) as (_, calls):
            told["after a kill"] = calls.ids("set")
            told["refused after a kill"] = refusal(calls.change, big_addition(0, "other"))
            told["deletion"] = delete(calls, "other").deleted_exemplar_count
            told["removed"] = sorted(told["after a kill"])[:40]
            calls.change(removal("set", told["removed"]))
            told["in their place"] = refusal(calls.change, big_addition(MOST_ADDITIONS))
            filler.unlink()
            told["added again"] = calls.change(addition("set", ["d", "e"])).results
            told["at last"] = calls.ids("set")
        told["integrity"] = check(path)
    return story


def fill_up(calls, acknowledged):
    """Adds until it is refused."""
    for number in range(MOST_ADDITIONS):
        addition = big_addition(number)
        if refused := refusal(calls.change, addition):
            return refused
        acknowledged |= {e.exemplar_id for e in addition.exemplars}
    return None


def test_a_full_disk_refuses_additions_at_once_and_says_why(full):
    assert len(full.acknowledged) > 100
    for when in ("refused", "refused when nothing is left", "refused after a kill"):
        assert full.answers[when] == REFUSED


def test_a_full_disk_has_everything_that_was_acknowledged(full):
    assert full.answers["ids"] == full.acknowledged | {"a", "b"}
    assert full.answers["count"] == len(full.acknowledged) + 2


def test_a_full_disk_answers_queries(full):
    assert full.answers["answers"] == full.answers["answers before"]


def test_exemplars_and_support_sets_are_deleted_from_a_full_disk(full):
    assert [r.exemplar_id for r in full.answers["removal"].results] == ["a", "000-0"]
    assert full.answers["deletion"] == 1


def test_a_server_starts_on_a_full_disk(full):
    assert full.answers["after a kill"] == (full.acknowledged | {"b"}) - {"000-0"}


def test_what_was_deleted_makes_room_for_additions_on_a_full_disk(full):
    assert full.answers["in their place"] is None


def test_additions_go_on_without_a_restart_once_there_is_room(full):
    assert [r.exemplar_id for r in full.answers["added again"]] == ["d", "e"]
    new = {f"{MOST_ADDITIONS}-{n}" for n in range(4)} | {"d", "e"}
    left = full.answers["after a kill"] - set(full.answers["removed"])
    assert full.answers["at last"] == left | new


def test_a_full_disk_leaves_the_file_intact(full):
    assert full.answers["integrity"] == [("ok",)]


def test_a_disk_that_fails_refuses_changes_until_it_works_again(backbone_dir, tmp_path):
    path = tmp_path / "store.db"
    with serving(backbone_dir, path) as (server, calls):
        begin(calls)
        with failing_writes(server.process.pid):
            assert refusal(calls.change, addition("set", ["d"])) == REFUSED
            assert refusal(calls.change, removal("set", ["a"])) == REFUSED
            assert refusal(delete, calls, "other") == REFUSED
            assert (calls.ids("set"), calls.ids("other")) == ({"a", "b"}, {"c"})
            assert [a.label for a in calls.answers("set")]
        calls.change(addition("set", ["d"]))
        calls.change(removal("set", ["a"]))
        assert calls.ids("set") == {"b", "d"}
    assert check(path) == [("ok",)]


def test_a_disk_that_fails_costs_no_change_that_was_acknowledged_meanwhile(backbone_dir, tmp_path):
    """The error comes and goes between changes: some are made, and exactly those are there."""
    with serving(backbone_dir, tmp_path / "store.db") as (server, calls):
        begin(calls)
        made = {"a", "b"}
        for number in range(20):
            with failing_writes(server.process.pid) if number % 2 else nullcontext():
                if refusal(calls.change, addition("set", [f"n{number}"])) is None:
                    made.add(f"n{number}")
        revision = calls.describe("set").revision
        server.kill()
    assert len(made) == 12
    with serving(backbone_dir, tmp_path / "store.db") as (_, calls):
        assert calls.ids("set") == made
        assert calls.describe("set").revision == revision == 12


def test_a_disk_that_can_only_be_read_refuses_changes_and_answers_queries(backbone_dir, tmp_path):
    image = tmp_path / "disk"
    with loop_disk(image) as folder, serving(backbone_dir, folder / "store.db") as (_, calls):
        begin(calls)
        before = calls.answers("set")
        break_disk(folder)
        assert refusal(calls.change, addition("set", ["d"])) == REFUSED
        assert refusal(delete, calls, "other") == REFUSED
        assert calls.ids("set") == {"a", "b"}
        assert calls.answers("set") == before
    with loop_disk(image) as folder:
        with serving(backbone_dir, folder / "store.db") as (_, calls):
            assert (calls.ids("set"), calls.ids("other")) == ({"a", "b"}, {"c"})
            calls.change(addition("set", ["d"]))
        assert check(folder / "store.db") == [("ok",)]
