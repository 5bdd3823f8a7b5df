"""Raw files: batches of cells with the numbers of their rows, and files that are none."""

import time
from dataclasses import replace
from gzip import compress
from itertools import chain
from pathlib import Path

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from windlass.errors import FeatureError
from windlass.features.ingest.raw_files import RawBatch, RawFile


def broken_lines(batches: list[RawBatch]) -> list[tuple[int, str]]:
    """The numbers, from 1, and texts of the lines that are no rows."""
    return [(line.row + 1, line.text) for batch in batches for line in batch.broken]


def test_cells_of_csv_are_bytes_and_rows_are_numbered(tmp_path: Path) -> None:
    file = tmp_path / "raw.csv"
    file.write_bytes(b'\xef\xbb\xbfid,name\n1,"a,""b"\n2,\xff\n3,\n')
    opened = RawFile.open(file)
    assert opened.columns == ("id", "name")
    (batch,) = opened.batches()
    assert batch.rows.to_list() == [1, 2, 3]
    assert batch.cells["name"].to_list() == [b'a,"b', b"\xff", None]
    assert batch.share == 1.0


def test_broken_lines_keep_their_numbers_over_blocks(tmp_path: Path) -> None:
    lines = [f"{n},{'x' * (n % 5)}" if n % 7 else f"{n}" for n in range(1, 200)]
    file = tmp_path / "raw.csv"
    file.write_text("\n".join(["id,name", *lines, "last,one,more"]))
    batches = list(replace(RawFile.open(file), csv_block=64).batches())
    assert len(batches) > 5
    for batch in batches:
        assert batch.rows.to_list() == batch.cells["id"].cast(pl.String).cast(pl.Int64).to_list()
    broken = broken_lines(batches)
    assert broken == [*((n, str(n)) for n in range(7, 200, 7)), (200, "last,one,more")]


@pytest.mark.parametrize("block", [40, 1 << 20])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_a_line_with_an_open_quote_does_not_consume_the_next(
    tmp_path: Path, end: str, block: int
) -> None:
    lines = ["id,name", '1,"two', 'lines"', '3,5" x', "", '4,"a,""b"', '5","x', "6,", '7,"']
    file = tmp_path / "raw.csv"
    file.write_text(end.join(lines), newline="")
    batches = list(replace(RawFile.open(file), csv_block=block).batches())
    good: dict[int, bytes | None] = {}
    for batch in batches:
        good.update(zip(batch.rows, batch.cells["name"], strict=True))
    broken = broken_lines(batches)
    assert good == {3: b'5" x', 4: b'a,"b', 6: None}
    assert broken == [(1, '1,"two'), (2, 'lines"'), (5, '5","x'), (7, '7,"')]


@pytest.mark.parametrize("every", [2, 3, 7])
def test_no_broken_line_is_lost_while_a_batch_is_worked_on(tmp_path: Path, every: int) -> None:
    """A parser that read ahead would report broken lines of later blocks while this thread takes a batch."""
    file, count = tmp_path / "raw.csv", 600
    lines = [f"{n},{n}" + ",more" * (n % every == 0) for n in range(count)]
    file.write_text("\n".join(["id,name", *lines]))
    batches, rows = list[RawBatch](), list[int]()
    for batch in replace(RawFile.open(file), csv_block=64).batches():
        time.sleep(0.002)  # the work on a batch, in which a parser could read ahead
        batches.append(batch)
        assert [int(name) + 1 for name in batch.cells["name"].to_list()] == batch.rows.to_list()
        rows += batch.rows.to_list()
    assert [number for number, _ in broken_lines(batches)] == list(range(1, count + 1, every))
    assert rows == [n + 1 for n in range(count) if n % every]


def test_a_broken_line_that_is_not_utf8_is_kept_with_its_bytes_escaped(tmp_path: Path) -> None:
    file = tmp_path / "raw.csv"
    file.write_bytes(b'id,name\n1,\xfc,more\n2,\xfc\n3,"\xfc,\xfc"\n')
    (batch,) = RawFile.open(file).batches()
    assert broken_lines([batch]) == [(1, r"1,\xfc,more")]
    assert batch.cells["name"].to_list() == [b"\xfc", b"\xfc,\xfc"]


@pytest.mark.parametrize(
    "kind",
    [
        pa.timestamp("us", "+05:30"),
        pa.list_(pa.timestamp("s", "Nowhere/City")),
        pa.decimal256(60, 2),
        pa.struct([("a", pa.decimal256(60, 2))]),
    ],
)
def test_a_column_of_an_unsupported_type_is_refused(tmp_path: Path, kind: pa.DataType) -> None:
    file = tmp_path / "raw.parquet"
    pq.write_table(pa.table({"id": [1], "amount": pa.nulls(1, kind)}), file)
    message = (
        r"raw\.parquet has the column 'amount' of the type .*, which cannot be read\. Write it"
    )
    with pytest.raises(FeatureError, match=message):
        RawFile.open(file)


def test_parquet_comes_in_batches(tmp_path: Path) -> None:
    file = tmp_path / "raw.parquet"
    pl.DataFrame({"id": range(100)}).write_parquet(file)
    opened = replace(RawFile.open(file), parquet_rows=40)
    assert opened.estimated_rows == 100
    rows = [batch.rows.to_list() for batch in opened.batches()]
    assert [len(batch) for batch in rows] == [40, 40, 20]
    assert list(chain.from_iterable(rows)) == list(range(1, 101))


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("raw.csv", b"", "is empty. The first line names the columns"),
        ("raw.csv", "a,b\n1,2\n".encode("utf-16"), "Save it as CSV in UTF-8"),
        ("raw.csv", b"a,stra\xdfe\n1,2\n", "Save it as CSV in UTF-8"),
        (
            "raw.csv",
            compress(b"a,b\n1,2\n", mtime=0),
            "Save it as CSV in UTF-8, not compressed",
        ),
        ("raw.csv", b'a,"b\n1,2\n', "opens a quote"),
        ("raw.csv", b"a,b,a\n1,2,3\n", "has 2 columns called 'a'"),
        ("raw.parquet", b"PAR1", "cannot be read"),
        ("raw.xlsx", b"", "ends in .csv or .parquet"),
        ("raw.csv", None, "There is no file"),
    ],
)
def test_what_is_no_raw_file_is_refused(
    tmp_path: Path, name: str, content: bytes | None, message: str
) -> None:
    file = tmp_path / name
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(FeatureError, match=message):
        RawFile.open(file)
