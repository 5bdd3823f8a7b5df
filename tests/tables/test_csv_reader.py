"""The CSV reader: no thread and no reference that outlives it, and no file that ends inside quotes."""

import csv
import io
import random
import threading

import pyarrow as pa
import pytest
from tests.support.live_readers import frozen_heap, live_readers

from windlass.errors import InputError, TableError
from windlass.tables.csv_reader import BrokenLine, CsvReader, CsvReadOptions
from windlass.tables.reader import TableReader

__all__ = ["frozen_heap"]  # a fixture

GOOD = b"a,b\n" + b"1,2\n" * 400
BODIES = {
    "finished": GOOD + b"3\n" + GOOD[4:],
    "failed": GOOD + b"1,\xed\xa0\x80\n" + GOOD[4:],
    "left open": GOOD + b'1,"x\n' + GOOD[4:],
    "too long": GOOD + b"1" * 10_000 + b"\n" + GOOD[4:],
    "duplicate columns": b"a,a\n1,2\n",
    "failed at once": b"a,b\n1,\xed\xa0\x80\n" + GOOD[4:],
}


class RecordingFile(io.BytesIO):
    """Bytes that record the threads which read them."""

    def __init__(self, body: bytes, threads: set[int]) -> None:
        super().__init__(body)
        self._threads = threads

    def read(self, size: int | None = -1) -> bytes:
        self._threads.add(threading.get_ident())
        return super().read(size)


def rows_of(body: bytes, block: int = 1 << 18) -> list[tuple[str, ...]]:
    reader = CsvReader(io.BytesIO(body), "The body", CsvReadOptions(block), lambda _: True)
    table = pa.Table.from_batches(reader, reader.schema)
    return list(zip(*table.to_pydict().values(), strict=True))


@pytest.mark.parametrize("line_per_record", [False, True])
@pytest.mark.parametrize("outcome", BODIES)
@pytest.mark.parametrize("batches", [1, 1000])
def test_only_the_thread_of_the_caller_reads_and_reports(
    outcome: str, batches: int, *, line_per_record: bool
) -> None:
    threads = set[int]()

    def report(_: BrokenLine) -> bool:
        threads.add(threading.get_ident())
        return True

    form = CsvReadOptions(512, line_per_record=line_per_record)
    try:
        reader = CsvReader(RecordingFile(BODIES[outcome], threads), "It", form, report)
        for _ in zip(range(batches), reader, strict=False):
            pass
    except (InputError, ValueError):
        assert outcome != "finished"
    assert threads == {threading.get_ident()}


@pytest.mark.parametrize("outcome", BODIES)
@pytest.mark.parametrize("batches", [0, 1, 1000])
@pytest.mark.usefixtures("frozen_heap")
def test_no_reader_lives_on(outcome: str, batches: int) -> None:
    before = live_readers()

    def read() -> None:
        with TableReader(BODIES[outcome], "csv", lambda _: None) as reader:
            for _ in zip(range(batches), reader, strict=False):
                pass

    for _ in range(3):
        try:
            read()
        except InputError:
            assert outcome != "finished"
    assert live_readers() == before


def test_a_reader_that_was_left_holds_neither_its_batches_nor_its_source() -> None:
    with TableReader(GOOD, "csv") as reader:
        next(iter(reader))
    assert list(reader) == []
    assert reader.share == pytest.approx(1.0)


@pytest.mark.parametrize("line_end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize(
    ("rows", "where"),
    [
        (['1,"x'], "line 2 opens"),
        (['1,"'], "line 2 opens"),
        (['1,"x""'], "line 2 opens"),
        (["1,2", '3,"x', "4,5"], "line 3 opens"),
        (["1,2", '"a\nb",c', '3,"x', "4,5", ""], "line 5 opens"),
        (["1", '3,4,5,"x', "4,5"], "line 3 opens"),
        (['1,5"', '2,"', "3,4"], "line 3 opens"),
        (["1,2", *['"x', "4,5"] * 2, '6,"'], "line 3 has text behind a closing quote"),
        (["1,2"] * 100_000 + ['1,"x'] + ["3,4"] * 100, "line 100002 opens"),
        (["1,2"] * 100_000 + ['1,"x'] + ["3,4"] * 100_000, "line 100002 opens"),
    ],
    ids=range(10),
)
def test_a_file_that_ends_inside_quotes_is_refused(
    rows: list[str], where: str, line_end: str
) -> None:
    body = line_end.join(["a,b", *rows]).encode()
    with pytest.raises(TableError, match=f"read as csv: {where}") as caught:
        rows_of(body)
    assert where in caught.value.reason


def test_a_header_that_ends_inside_quotes_is_refused() -> None:
    with pytest.raises(TableError, match="line 1 opens a quote that is never closed"):
        rows_of(b'a,"b\n1,2\n')


def test_cells_of_many_lines_are_read_whatever_the_blocks() -> None:
    """Compare with the `csv` module of Python, also where the text is cut: is a quote open at its end?"""
    cells = ["x", "", "a\nb", 'q"q', "a,b", "\r\n", "é", '"', '""\n"', "\ufeff"]
    chance = random.Random(1)
    for _ in range(300):
        rows = [tuple(chance.choices(cells, k=2)) for _ in range(chance.randrange(1, 12))]
        sink = io.StringIO()
        line_end = chance.choice(["\n", "\r\n", "\r"])
        writer = csv.writer(sink, quoting=csv.QUOTE_ALL, lineterminator=line_end)
        writer.writerows([("a", "b"), *rows])
        text = sink.getvalue()
        assert rows_of(text.encode(), block=64) == rows
        cut = text[: chance.randrange(9, len(text))]
        assert is_refused(cut.encode()) == ends_inside_quotes(cut), cut


def is_refused(body: bytes) -> bool:
    try:
        rows_of(body, block=64)
    except TableError as error:
        return "opens a quote" in str(error)
    return False


def ends_inside_quotes(text: str) -> bool:
    try:
        list(csv.reader(io.StringIO(text, newline=""), strict=True))
    except csv.Error as error:
        return "unexpected end of data" in str(error)
    return False


@pytest.mark.parametrize("before", [b"1,2\n" * 5, b"1\n" * 5])
def test_rows_and_broken_lines_keep_their_numbers_behind_a_cell_of_many_lines(
    before: bytes,
) -> None:
    broken = list[BrokenLine]()
    body = b"a,b\n" + before + b'7,"' + b"x\n" * 10 + b'"\n1,2,3\n' + b"4,5\n" * 20 + b"6\n"

    def report(line: BrokenLine) -> bool:
        broken.append(line)
        return True

    reader = CsvReader(io.BytesIO(body), "It", CsvReadOptions(32), report)
    assert sum(batch.num_rows for batch in reader) + len(broken) == 28
    assert [line.row for line in broken if line.row > 4] == [6, 27]
