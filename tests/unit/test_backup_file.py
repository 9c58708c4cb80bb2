"""Claims about a backup's file: whatever is in a table comes out of it as it was."""

import io
import json
import tarfile
from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from exemplar_server.core import backup_file
from exemplar_server.core.backup_file import BackupFile, BackupWriter, Facts, bytes_of, time_of

FACTS = Facts("0001", "epoch", "2026-01-01T00:00:00+00:00")
text = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
rows = st.lists(
    st.fixed_dictionaries(
        {
            "text": text,
            "number": st.integers(-(2**63), 2**63 - 1),
            "flag": st.booleans(),
            "nothing": st.none(),
            "json": st.dictionaries(text, text, max_size=2),
            "blob": st.binary(max_size=200),
            "time": st.datetimes(timezones=st.just(UTC)),
        }
    ),
    max_size=5,
)


def read_back(file):
    """The rows of each table, blobs and times as they were."""
    found = {}
    for table, some in BackupFile(file).rows():
        for row in some:
            read = {"blob": bytes_of(row["blob"]), "time": time_of(row["time"])}
            found.setdefault(table, []).append(row | read)
    return found


@given(first=rows, second=rows)
def test_rows_come_out_as_they_went_in(first, second):
    file = io.BytesIO()
    writer = BackupWriter(file, FACTS)
    writer.add("first", first)
    writer.add("second", second)
    counts = writer.finish()
    assert counts == BackupFile(file).counts == {"first": len(first), "second": len(second)}
    assert BackupFile(file).facts == FACTS
    expected = {"first": first, "second": second}
    assert read_back(file) == {table: some for table, some in expected.items() if some}


def test_a_time_without_a_zone_is_utc():
    file = io.BytesIO()
    writer = BackupWriter(file, FACTS)
    writer.add("a", [{"blob": b"", "time": datetime(2026, 1, 1)}])
    writer.finish()
    assert read_back(file)["a"][0]["time"] == datetime(2026, 1, 1, tzinfo=UTC)


def test_rows_are_written_a_few_at_a_time(monkeypatch):
    monkeypatch.setattr(backup_file, "MEMBER_BYTES", 100)
    file = io.BytesIO()
    writer = BackupWriter(file, FACTS)
    writer.add("a", ({"number": number} for number in range(100)))
    writer.finish()
    file.seek(0)
    with tarfile.open(fileobj=file) as tar:
        members = [m for m in tar if m.name.startswith("a/")]
        assert max(member.size for member in members) < 120
        lines = [line for m in members for line in tar.extractfile(m).read().splitlines()]
    assert [json.loads(line)["number"] for line in lines] == list(range(100))
