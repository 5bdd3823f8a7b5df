"""Nothing is left of a table's reader once it is left: every format, read to the end, given up, and refused."""

import io
import sys
from collections.abc import Callable
from contextlib import suppress

import pyarrow as pa
import pytest
from pyarrow import parquet
from tests.support.live_readers import frozen_heap, live_readers

from windlass.errors import InputError
from windlass.tables.reader import TableReader

__all__ = ["frozen_heap"]  # a fixture

ROWS = 70_000  # several batches
TABLE = pa.table({"a": [1.5] * ROWS, "b": ["x"] * ROWS})


def arrow() -> bytes:
    sink = io.BytesIO()
    with pa.ipc.new_stream(sink, TABLE.schema) as writer:
        writer.write_table(TABLE)
    return sink.getvalue()


def parquet_file() -> bytes:
    sink = io.BytesIO()
    parquet.write_table(TABLE, sink)
    return sink.getvalue()


CSV = b"a,b\n" + b"1.5,x\n" * ROWS
BODIES: list[tuple[str, bytes]] = [
    ("csv", CSV), ("csv", CSV + b"1,2,3\n"), ("csv", CSV + b'1,"x\n'), ("csv", CSV + b"\xff,x\n"), ("csv", b""),
    ("csv", b"a,a\n1,2\n"), ("csv", b"a,b"), ("csv", b"a,b\n" + b"x" * 1_000_000), ("csv", bytes(1000)),
    ("arrow", arrow()), ("arrow", arrow()[:-5000]), ("arrow", b"x" * 1000), ("arrow", b""),
    ("parquet", parquet_file()), ("parquet", parquet_file()[:-20]), ("parquet", b"x" * 1000), ("parquet", b""),
]  # fmt: skip


def read_all(reader: TableReader) -> None:
    for _ in reader:
        pass


def read_one(reader: TableReader) -> None:
    next(iter(reader), None)


def fail(reader: TableReader) -> None:
    next(iter(reader), None)
    raise InputError("The columns are others.")


def read_table(body: bytes, form: str, use: Callable[[TableReader], None]) -> None:
    with suppress(InputError), TableReader(body, form) as reader:
        use(reader)


@pytest.mark.parametrize(("form", "content"), BODIES, ids=range(len(BODIES)))
@pytest.mark.parametrize("use", [read_all, read_one, fail])
@pytest.mark.usefixtures("frozen_heap")
def test_no_reader_and_no_body_is_left(
    form: str, content: bytes, use: Callable[[TableReader], None]
) -> None:
    body = bytes(bytearray(content))
    before = live_readers(), sys.getrefcount(body)
    read_table(body, form, use)
    assert live_readers() == before[0]
    assert not body or sys.getrefcount(body) == before[1]
