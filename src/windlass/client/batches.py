"""`predict_batch` of the client: rows cut into requests below the server's limit, answers joined in their order.

Frames travel as Arrow; a CSV file as CSV, since only the declared row says what its cells mean; rows of dicts as Arrow
where all of them have the same keys, else as JSON. Answers are Arrow.
"""

import codecs
import io
import re
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import pyarrow as pa

from windlass.client.exchange import Operation, Request, Response, RetryPolicy, exchange
from windlass.client.results import Predictions
from windlass.core.json_rows import json_rows
from windlass.errors import (
    ClientError,
    Fault,
    InputError,
    PayloadTooLargeError,
    RowsError,
    UnprocessableError,
    counted,
)
from windlass.tables.frames import RowSource, row_source, to_arrow
from windlass.tables.reader import TableReader
from windlass.tables.writer import open_writer, table_format

MAX_ROWS = 100_000  # of one request
MAX_BYTES = 8 << 20  # of one request, about; the server's default limit is 64 MiB
_ARROW = "application/vnd.apache.arrow.stream"
_MEDIA_TYPES = {"arrow": _ARROW, "csv": "text/csv", "json": "application/json"}
_QUOTE = b'"'
_UTF_16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
_REGISTERED = re.compile(r"v[1-9][0-9]*")


@dataclass(frozen=True)
class Piece:
    """Rows of one request: a table, the JSON object of each row, or the records of a CSV file behind its header."""

    form: Literal["arrow", "csv", "json"]
    rows: Any
    header: bytes = b""

    @property
    def count(self) -> int | None:
        """Number of rows; None of CSV, whose reader is the server's."""
        return None if self.form == "csv" else len(self.rows)

    def encode(self) -> bytes:
        """Returns the body of the request."""
        if self.form == "csv":
            return self.header + bytes(self.rows)
        if self.form == "json":
            return b"[%b]" % b",".join(self.rows)
        sink = io.BytesIO()
        with open_writer(sink, self.rows.schema, self.form) as writer:
            for batch in self.rows.to_batches():
                writer.write_batch(batch)
        return sink.getvalue()

    def halves(self) -> "tuple[Piece, Piece] | None":
        """Returns the first and the second half of the rows; None where they cannot be divided."""
        middle = len(self.rows) // 2
        if self.form == "csv":
            middle = record_end(self.rows[: middle + 1])
        if not 0 < middle < len(self.rows):
            return None
        return replace(self, rows=self.rows[:middle]), replace(self, rows=self.rows[middle:])


def predict_pieces(
    rows: object, path: str, version: str | None, policy: RetryPolicy
) -> Operation[Predictions]:
    """Predicts rows in as many requests as they need; every row has an answer, or none has.

    Raises InputError for rows that cannot be read; UnprocessableError, whose faults name rows of all that were given;
    ClientError where the server's version changed between two requests.
    """
    source = row_source(rows)
    waiting = deque[Piece]()
    pieces = _pieces(rows, source)
    tables: list[pa.Table] = []
    ids: list[str] = []
    answered_by, start = "", 0
    while (piece := waiting.popleft() if waiting else next(pieces, None)) is not None:
        # a version of the registry is kept to: a rollout may come between two requests
        pinned = version or (answered_by if _REGISTERED.fullmatch(answered_by) else None)
        try:
            response = yield from exchange(_request(piece, path, pinned), policy)
        except PayloadTooLargeError:
            halves = piece.halves()
            if halves is None:
                raise
            waiting.extendleft(reversed(halves))
            continue
        except UnprocessableError as error:
            raise _moved(error, start) from error
        tables.append(_read_answer(response, piece.count))
        start += len(tables[-1])
        ids.append(response.headers.get("x-prediction-id", ""))
        answering = response.headers.get("x-model-version", "")
        if answered_by not in ("", answering):
            raise ClientError(
                f"The server changed from {answered_by} to {answering} between two parts of these rows. Predict them"
                " again, or name the version."
            )
        answered_by = answering
    if not tables:
        raise InputError("There are no rows to predict. Give at least one.")
    return Predictions(pa.concat_tables(tables), answered_by, ids, source.index)


def _request(piece: Piece, path: str, version: str | None) -> Request:
    headers = {"content-type": _MEDIA_TYPES[piece.form], "accept": _ARROW}
    params = {} if version is None else {"version": version}
    return Request("POST", path, params, headers, piece.encode())


def _read_answer(response: Response, count: int | None) -> pa.Table:
    """Returns the predictions [n] of a piece. Raises ClientError unless there is one for each of its rows."""
    try:
        with pa.ipc.open_stream(response.content) as reader:
            table = reader.read_all()
    except pa.ArrowException as error:
        raise ClientError(
            "The answer is not an Arrow stream. Check that the URL is that of a Windlass server."
        ) from error
    if count is not None and table.num_rows != count:
        raise ClientError(
            f"The server answered {table.num_rows} of {counted(count, 'row')}. Please report it."
        )
    return table


def _moved(error: UnprocessableError, start: int) -> UnprocessableError:
    """Returns the error with the numbers of rows as the caller counts them."""
    faults: list[Fault] = [
        {**fault, "loc": [start + fault["loc"][0], *fault["loc"][1:]]}
        if fault["loc"] and isinstance(fault["loc"][0], int)
        else fault
        for fault in error.errors
    ]
    return UnprocessableError(replace(error.problem, errors=tuple(faults)))


def _pieces(rows: Any, source: RowSource) -> Iterator[Piece]:
    if isinstance(rows, str | Path):
        yield from _file_pieces(Path(rows))
    elif source.kind is not None:
        yield from _table_pieces([to_arrow(rows, source.kind)])
    else:
        given = [rows] if source.is_single else list(rows)
        for start in range(0, len(given), MAX_ROWS):
            yield from _mapping_pieces(given[start : start + MAX_ROWS], start)


def _file_pieces(path: Path) -> Iterator[Piece]:
    form = table_format(path)
    if form == "csv":
        yield from _csv_pieces(path)
        return
    if form == "xlsx":  # its cells mean what the declared row says
        raise InputError(
            f"{path} is an Excel file, which a server does not read. Read it with windlass.read_table(path, Row) first."
        )
    with TableReader(path, form) as reader:
        yield from _table_pieces(pa.Table.from_batches([batch]) for batch in reader)


def _csv_pieces(path: Path) -> Iterator[Piece]:
    """Yields the bytes of a CSV file, cut between records: only the declared row says what delimiter they have."""
    try:
        with path.open("rb") as file:
            header = b""
            for line in file:
                header += line
                if header.count(_QUOTE) % 2 == 0:
                    break
            if header.startswith(_UTF_16):  # whose bytes are no ASCII
                yield Piece("csv", file.read(), header)
                return
            left, size = b"", MAX_BYTES
            while block := file.read(size - len(left)):
                left += block
                end = record_end(left) if len(left) == size else 0
                if end:
                    yield Piece("csv", left[:end], header)
                    left, size = left[end:], MAX_BYTES
                elif len(left) == size:
                    size *= 2
            if left or not header.endswith(b"\n"):
                yield Piece("csv", left, header)
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}. Check the file.") from error


def record_end(text: bytes) -> int:
    """Returns the position behind the last record of CSV that ends in `text`; 0 where none does.

    A newline ends a record where the quotes before it are even in number.
    """
    quotes, end = text.count(_QUOTE), len(text)
    while (newline := text.rfind(b"\n", 0, end)) >= 0:
        quotes -= text.count(_QUOTE, newline, end)
        if quotes % 2 == 0:
            return newline + 1
        end = newline
    return 0


def _table_pieces(tables: Iterable[pa.Table]) -> Iterator[Piece]:
    """Yields pieces of about MAX_BYTES, each of whole rows: neighbours are joined, large tables are cut."""
    few: list[pa.Table] = []
    rows = size = 0
    for part in (part for table in tables for part in _cut(table)):
        if few and (size + part.nbytes > MAX_BYTES or rows + len(part) > MAX_ROWS):
            yield Piece("arrow", pa.concat_tables(few))
            few, rows, size = [], 0, 0
        few.append(part)
        rows, size = rows + len(part), size + part.nbytes
    if rows:
        yield Piece("arrow", pa.concat_tables(few))


def _cut(table: pa.Table) -> Iterator[pa.Table]:
    per_row = max(table.nbytes // max(len(table), 1), 1)
    rows = max(min(MAX_BYTES // per_row, MAX_ROWS), 1)
    for at in range(0, len(table), rows):
        yield table.slice(at, rows)


def _mapping_pieces(rows: Sequence[Any], start: int) -> Iterator[Piece]:
    table = _same_keys_table(rows)
    if table is not None:
        yield from _table_pieces([table])
        return
    few: list[bytes] = []
    size = 0
    for row in _encoded(rows, start):
        if few and size + len(row) > MAX_BYTES:
            yield Piece("json", few)
            few, size = [], 0
        few.append(row)
        size += len(row) + 1
    yield Piece("json", few)


def _encoded(rows: Sequence[Any], start: int) -> list[bytes]:
    try:
        return json_rows(rows)
    except RowsError as error:
        faults = [
            {**each, "loc": [each["loc"][0] + start, *each["loc"][1:]]} for each in error.faults
        ]
        raise RowsError(faults) from error


def _same_keys_table(rows: Sequence[Any]) -> pa.Table | None:
    """Returns dicts as a table, if all have the same keys and each column one plain type; else None.

    What a key that is missing in some rows means, only JSON can say: null and a default are not the same.
    """
    first = rows[0]
    if not all(type(row) is dict and row.keys() == first.keys() for row in rows):
        return None
    try:
        table = pa.table({name: pa.array([row[name] for row in rows]) for name in first})
    except (pa.ArrowException, TypeError, ValueError, OverflowError):
        return None  # the server names each cell at fault
    plain = (pa.types.is_int64, pa.types.is_float64, pa.types.is_boolean, pa.types.is_string)
    is_plain = all(any(is_kind(field.type) for is_kind in plain) for field in table.schema)
    return table if is_plain else None
