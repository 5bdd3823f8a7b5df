"""The ledger: whole records or none, segments, and one table out of all of them."""

import os
import re
import resource
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson
import pyarrow as pa
import pytest
from tests.support.child_process import ChildProcess, python_command, run_python

import windlass
from windlass.errors import LedgerError
from windlass.monitoring.ledger import CheckTimings, Ledger

META = ["prediction_id", "request_id", "predicted_at", "model_version", "latency_ms"]


def line(identity: str, **row: Any) -> bytes:
    answer = {
        "predicted_label": "a",
        "prediction": "a",
        "class_probabilities": {"a": 0.75, "b": 0.25},
        "model_version": "v1",
        "latency_ms": 0.5,
        "prediction_id": identity,
    }
    return (
        orjson.dumps({"time": 1_700_000_000.25, "request_id": "mine", "row": row, "answer": answer})
        + b"\n"
    )


def batch(identity: str, *rows: dict[str, Any]) -> bytes:
    answer = {
        "predictions": ["a"] * len(rows),
        "class_probabilities": [{"a": 0.75, "b": 0.25}] * len(rows),
        "model_version": "v2",
        "latency_ms": 1.5,
        "prediction_id": identity,
    }
    return orjson.dumps({"time": 1_700_000_001, "rows": rows, "answer": answer}) + b"\n"


def stream(identity: str, rows: int = 2) -> bytes:
    table = pa.table(
        {
            "prediction": ["b"] * rows,
            "probability_a": [0.25] * rows,
            "probability_b": [0.75] * rows,
            "x": pa.array([float(i) for i in range(rows)]),
            "n": pa.array([None, *range(1, rows)], pa.int64()),
        }
    )
    shared = {
        "prediction_id": identity,
        "request_id": "theirs",
        "predicted_at": "1700000002.5",
        "model_version": "v3",
        "latency_ms": "2.5",
    }
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema.with_metadata(shared)) as writer:
        writer.write_table(table)
    content: bytes = sink.getvalue().to_pybytes()
    return content


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path


@pytest.fixture
def folder(home: Path) -> Path:
    return home / "ledger" / "points"


def ids(home: Path) -> list[str]:
    prediction_ids: list[str] = windlass.read_ledger("points", home)["prediction_id"].to_pylist()
    return prediction_ids


def test_one_table_of_rows_batches_and_tables(home: Path, folder: Path) -> None:
    ledger = Ledger(folder)
    ledger.append(line("one", x=1.5, n=None))
    ledger.append(batch("two", {"x": 2.5, "n": 7}, {"x": 3.5, "n": None}))
    ledger.append_table(stream("three"))
    ledger.close()
    table = windlass.read_ledger("points", home)
    names = [*META, "prediction", "probability_a", "probability_b", "x", "n"]
    assert sorted(table.column_names) == sorted(names)
    rows = sorted(
        table.to_pylist(), key=lambda row: str(row["predicted_at"]) + row["prediction_id"]
    )
    assert [row["prediction_id"] for row in rows] == ["one", "two.0", "two.1", "three.0", "three.1"]
    assert [row["request_id"] for row in rows] == ["mine", None, None, "theirs", "theirs"]
    assert [row["model_version"] for row in rows] == ["v1", "v2", "v2", "v3", "v3"]
    assert [row["prediction"] for row in rows] == ["a", "a", "a", "b", "b"]
    assert [row["latency_ms"] for row in rows] == [0.5, 1.5, 1.5, 2.5, 2.5]
    assert [row["x"] for row in rows] == [1.5, 2.5, 3.5, 0.0, 1.0]
    assert [row["n"] for row in rows] == [None, 7, None, None, 1]
    assert rows[0]["predicted_at"] == datetime.fromtimestamp(1_700_000_000.25, UTC)
    assert rows[4]["predicted_at"] == datetime.fromtimestamp(1_700_000_002.5, UTC)
    assert table.schema.field("predicted_at").type == pa.timestamp("us", "UTC")
    assert table.schema.metadata is None


def test_regression_has_no_probabilities(home: Path, folder: Path) -> None:
    answer = {"prediction": 1.5, "model_version": "v1", "latency_ms": 0.5, "prediction_id": "one"}
    many = {
        "predictions": [1, 2.5],
        "model_version": "v1",
        "latency_ms": 0.5,
        "prediction_id": "two",
    }
    ledger = Ledger(folder)
    ledger.append(orjson.dumps({"time": 1, "row": {"x": 1.0}, "answer": answer}) + b"\n")
    ledger.append(
        orjson.dumps({"time": 1, "rows": [{"x": 1.0}, {"x": 2.0}], "answer": many}) + b"\n"
    )
    ledger.close()
    table = windlass.read_ledger("points", home)
    assert table.column_names == [*META, "prediction", "x"]
    assert table["prediction"].to_pylist() == [1.5, 1.0, 2.5]


def test_the_home_is_that_of_the_settings_unless_it_is_named(
    home: Path, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Ledger(folder).close()
    monkeypatch.setenv("WINDLASS_HOME", str(home))
    assert windlass.read_ledger("points").num_rows == 0
    with pytest.raises(LedgerError, match=f"no ledger in {tmp_path / 'other'}"):
        windlass.read_ledger("points", tmp_path / "other")
    monkeypatch.delenv("WINDLASS_HOME")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(LedgerError, match=r"no ledger in \.windlass\. .*set WINDLASS_HOME"):
        windlass.read_ledger("points")


def test_an_empty_or_absent_ledger_is_an_empty_table(home: Path, folder: Path) -> None:
    with pytest.raises(LedgerError, match=r"'points' has no ledger in .*Serve it first"):
        windlass.read_ledger("points", home)
    Ledger(folder).close()
    empty = windlass.read_ledger("points", home)
    assert empty.num_rows == 0
    assert empty.column_names == META


def test_segments_roll_over(home: Path, folder: Path) -> None:
    ledger = Ledger(folder, segment_bytes=2000)
    names = [f"p{i:03}" for i in range(100)]
    for name in names:
        ledger.append(line(name, x=1.0))
        ledger.append_table(stream(f"t{name}"))
    ledger.close()
    for suffix in ("jsonl", "arrows"):
        segments = sorted(folder.glob(f"*.{suffix}"))
        assert len(segments) > 5
        assert all(segment.stat().st_size < 2000 + len(stream("tp000")) for segment in segments)
        assert {segment.stat().st_mode & 0o777 for segment in segments} == {0o600}
    assert folder.stat().st_mode & 0o777 == 0o700
    appended = ids(home)
    assert [name for name in appended if not name.startswith("t")] == names
    assert len(appended) == 300


def test_segments_roll_over_with_time(folder: Path, home: Path) -> None:
    ledger = Ledger(folder, segment_seconds=0.0)
    ledger.append(line("one", x=1.0))
    ledger.append(line("two", x=1.0))
    ledger.close()
    assert len(list(folder.iterdir())) == 2
    assert ids(home) == ["one", "two"]


@pytest.mark.parametrize("whole_folder", [False, True])
def test_a_segment_that_was_deleted_is_replaced(
    home: Path, folder: Path, whole_folder: bool
) -> None:
    ledger = Ledger(folder)
    for name in ("one", "two", "three"):
        ledger.append(line(name, x=1.0))
        ledger.append_table(stream(f"t{name}", rows=1))
        assert set(ids(home)) == {name, f"t{name}.0"}
        if whole_folder:
            shutil.rmtree(folder.parent)
        else:
            for segment in folder.iterdir():
                segment.unlink()


def test_a_failed_append_counts_and_is_the_reason_for_a_while(home: Path, folder: Path) -> None:
    failures = memoryview(bytearray(8)).cast("d")
    ledger = Ledger(folder, failures=failures, timings=CheckTimings(probe=0.0, failure=60.0))
    ledger.append(line("one", x=1.0))
    assert ledger.unwritable_reason() is None
    with file_size_limit(1000):
        with pytest.raises(LedgerError):
            ledger.append(line("two", text="x" * 1000))
        assert ledger.unwritable_reason() == "The ledger cannot be written: File too large."
    assert failures[0] == 1
    assert ledger.unwritable_reason() is not None  # though there is space again
    ledger.append(line("three", x=1.0))
    assert (ledger.unwritable_reason(), ids(home)) == (None, ["one", "three"])


def test_a_full_disk_is_found_without_an_append(folder: Path) -> None:
    ledger = Ledger(folder, timings=CheckTimings(probe=0.0, failure=0.0))
    with file_size_limit(1000):
        reason = ledger.unwritable_reason()
        assert reason == "The ledger cannot be written: No space left on device."
    assert ledger.unwritable_reason() is None
    assert list(folder.iterdir()) == []


@contextmanager
def file_size_limit(size: int) -> Iterator[None]:
    """Has writes beyond a size fail, as on a full disk; Python ignores the signal that comes with it."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_torn_line_is_left_out(home: Path, folder: Path) -> None:
    folder.mkdir(parents=True)
    whole, torn = line("whole", x=1.0), line("torn", x=1.0)
    for cut in range(len(torn)):
        (folder / "1-1.jsonl").write_bytes(whole + torn[:cut])
        (folder / "2-1.jsonl").write_bytes(line("next", x=1.0))
        assert ids(home) == ["whole", "next"]


def test_a_torn_stream_is_left_out(home: Path, folder: Path) -> None:
    folder.mkdir(parents=True)
    whole, torn = stream("whole"), stream("torn")
    for cut in range(len(torn)):
        (folder / "1-1.arrows").write_bytes(whole + torn[:cut])
        assert ids(home) == ["whole.0", "whole.1"], cut
    (folder / "1-1.arrows").write_bytes(whole + torn)
    assert len(ids(home)) == 4


def test_records_behind_an_altered_one_are_not_lost_in_silence(home: Path, folder: Path) -> None:
    folder.mkdir(parents=True)
    first, second = stream("first"), stream("second")
    for name, content, record in (
        ("1-1.arrows", first[:9] + b"?" + first[10:] + second, "the record at byte 0"),
        ("1-1.jsonl", line("first", x=1.0) + b"#" + line("second", x=1.0), "line 2"),
        ("1-1.jsonl", b"[]\n" + line("second", x=1.0), "line 1"),
    ):
        segment = folder / name
        segment.write_bytes(content)
        with pytest.raises(LedgerError, match=rf"{name}: {record} is not as it was written"):
            ids(home)
        segment.unlink()


def test_threads_do_not_mix_their_records(home: Path, folder: Path) -> None:
    ledger = Ledger(folder, segment_bytes=5000)

    def work(name: str) -> None:
        for index in range(200):
            ledger.append(line(f"{name}-{index}", x=1.0))

    threads = [threading.Thread(target=work, args=(name,)) for name in "abcd"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    ledger.close()
    assert sorted(ids(home)) == sorted(f"{name}-{i}" for name in "abcd" for i in range(200))


def test_a_short_write_is_finished(
    home: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = os.write
    monkeypatch.setattr(os, "write", lambda file, data: write(file, bytes(data)[:7]))
    ledger = Ledger(folder)
    ledger.append(line("one", x=1.0))
    ledger.append(line("two", x=1.0))
    ledger.append_table(stream("three"))
    ledger.close()
    assert ids(home) == ["one", "two", "three.0", "three.1"]


FULL = """
import resource, signal, sys
from pathlib import Path
from windlass.errors import LedgerError
from windlass.monitoring.ledger import Ledger

signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
record = Path(sys.argv[3]).read_bytes()
ledger = Ledger(Path(sys.argv[1]))
soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
resource.setrlimit(resource.RLIMIT_FSIZE, (len(record) * 5 // 2, hard))
written = 0
for _ in range(4):
    try:
        getattr(ledger, sys.argv[2])(record)
        written += 1
    except LedgerError as error:
        print(error)
resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
getattr(ledger, sys.argv[2])(record)
print(written + 1)
"""


@pytest.mark.parametrize(
    ("method", "record"), [("append", line("p", x=1.0)), ("append_table", stream("p"))]
)
def test_a_full_disk_leaves_nothing_half_written(
    folder: Path, method: str, record: bytes, tmp_path: Path
) -> None:
    """A limit on the size of files stands for the disk: the kernel writes half of the third record."""
    (tmp_path / "record").write_bytes(record)
    *errors, written = run_python(FULL, folder, method, tmp_path / "record").splitlines()
    assert written == "3"
    assert len(errors) == 2
    assert all(
        re.match("Cannot append to the ledger in .*: File too large.", error) for error in errors
    )
    (segment,) = folder.iterdir()
    assert segment.read_bytes() == record * 3


def test_a_folder_that_cannot_be_created_is_reported(tmp_path: Path) -> None:
    (tmp_path / "ledger").write_text("in the way")
    with pytest.raises(LedgerError, match="WINDLASS_HOME"):
        Ledger(tmp_path / "ledger" / "points")


KILLED = """
import sys
from pathlib import Path
from windlass.monitoring.ledger import Ledger

ledger = Ledger(Path(sys.argv[1]), segment_bytes=50_000)
record = sys.argv[2].encode()
for index in range(10**9):
    ledger.append(record.replace(b"NAME", b"%d" % index))
    print(index, flush=True)
"""


def test_what_was_appended_survives_a_kill(home: Path, folder: Path) -> None:
    with ChildProcess(python_command(KILLED, folder, line("NAME", x=1.0).decode())) as child:
        for _ in range(500):
            child.read_line()
        child.kill()
        *whole_lines, _ = child.finish().out.split("\n")
    last = max(map(int, whole_lines), default=499)
    appended = set(map(int, ids(home)))
    assert set(range(last + 1)) <= appended
    assert len(appended) <= last + 2  # one more may be written than was printed
