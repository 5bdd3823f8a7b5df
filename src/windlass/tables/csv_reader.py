"""Reads CSV in constant memory: the header, columns of text, and the lines that are no rows with their numbers.

pyarrow parses one chunk of whole lines at a time, in the caller's thread: no thread is left that calls Python.
"""

import csv
import io
import re
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from windlass.errors import BrokenLineError, InputError, TableError, counted
from windlass.tables.arrow_numpy import to_mask

_MAX_HEADER = 1 << 20  # bytes
_LINE_END = r"\r\n?|\n"


@dataclass(frozen=True)
class BrokenLine:
    """A line of CSV that is not a row: it has more or fewer cells than the header, or leaves a quote open.

    `row` counts rows from 0, broken lines among them, the header not.
    """

    row: int
    expected_cells: int
    cells: int
    text: str
    opens_quote: bool = False

    @property
    def reason(self) -> str:
        """Why it is not a row."""
        if self.opens_quote:
            return "a quote is not closed, or text follows one that is"
        return f"{counted(self.cells, 'cell')}, the header names {self.expected_cells}"


class BrokenLines:
    """Holds the broken lines that were reported, until a caller collects them."""

    def __init__(self) -> None:
        self._lines: deque[BrokenLine] = deque()

    def add(self, line: BrokenLine) -> bool:
        """Adds a line, and returns true: the reading goes on."""
        self._lines.append(line)
        return True

    def take(self) -> list[BrokenLine]:
        """Removes and returns the lines added so far: each is returned once."""
        return [self._lines.popleft() for _ in range(len(self._lines))]


@dataclass(frozen=True)
class CsvReadOptions:
    """How a CSV file is read. `block` bytes are parsed at a time; a line may not be longer.

    `delimiter` is the character between cells.

    With `line_per_record` a line's end ends a record also inside quotes, so that a quote that is never closed
    breaks one line, and cells are `binary`, null where they are empty: each may be of another encoding. Without
    it a quoted cell may span lines, and cells are `string`, "" where they are empty.
    """

    block: int
    line_per_record: bool = False
    delimiter: str = ","


class CsvReader:
    """Iterates over the record batches of a CSV file that is open for reading in binary.

    A broken line goes to `on_broken` before the batch after it comes, or earlier; where that returns false, the
    reading ends with pyarrow's error. `schema` has a column for each name of the header. Raises InputError for a
    header that cannot be read, for a line longer than a block, and, without `line_per_record`, for text that is
    not UTF-8 and for a file that ends inside quotes.
    """

    def __init__(
        self, file: Any, name: str, form: CsvReadOptions, on_broken: Callable[[BrokenLine], bool]
    ) -> None:
        names = _read_header(file.read(min(form.block, _MAX_HEADER)), name, form)
        self._file = file
        self._size = max(file.seek(0, io.SEEK_END), 1)
        file.seek(0)
        self._name = name
        self._form = form
        self._on_broken = on_broken
        self._lines = _LineReader(file, name, len(names), form)
        # a line of too many cells behind each chunk: the quote closes a cell that is open, and is text elsewhere
        self._end = uuid4().hex + '"' + form.delimiter * len(names)
        self._open = b""  # the record at the end of the last chunk that is not closed
        self._records = 0  # the header, rows and broken lines before the chunk
        self._line = 1  # the physical line on which the chunk begins
        kind = pa.binary() if form.line_per_record else pa.string()
        self.schema = pa.schema([(column, kind) for column in names])

    @property
    def share(self) -> float:
        """How much of the file has been read, 0 to 1."""
        return min(1.0, float(self._file.tell() / self._size))

    def __iter__(self) -> Iterator[Any]:
        while text := self._lines.take():
            is_first = not self._records
            if not self._form.line_per_record and b'"' in text:
                self._require_closed_cells(text)
            # behind a line end, what looks like a byte order mark is text
            table = self._parse(text, b"" if is_first else b"\n")
            if self._open:
                text = text[: len(text) - len(self._open)]
                self._line += _count_line_ends(text)
                self._require_closable()
                self._lines.put_back(self._open)
            else:
                self._line += _count_line_ends(text)
            table = table.slice(1) if is_first else table
            yield from table.to_batches() or [self._empty_batch()]

    def _empty_batch(self) -> Any:
        arrays = [pa.nulls(0, field.type) for field in self.schema]
        return pa.RecordBatch.from_arrays(arrays, schema=self.schema)

    def _parse(self, text: bytes, before: bytes) -> Any:
        """Parse whole lines. The options are not kept: pyarrow's reference to `_report` is hidden from Python."""
        from pyarrow import csv as arrow_csv

        chunk = _arrow_buffer(before, text, b"\n", self._end.encode())
        self._open, start = b"", self._records
        return arrow_csv.read_csv(
            pa.BufferReader(chunk),
            arrow_csv.ReadOptions(
                use_threads=False, block_size=chunk.size, column_names=self.schema.names
            ),
            arrow_csv.ParseOptions(
                delimiter=self._form.delimiter,
                newlines_in_values=True,
                invalid_row_handler=lambda line: self._report(line, start),
            ),
            arrow_csv.ConvertOptions(
                column_types=self.schema,
                strings_can_be_null=self._form.line_per_record,
                null_values=[""],
                check_utf8=False,
            ),
        )

    def _report(self, line: Any, start: int) -> str:
        text, opens_quote = line.text, False
        record = start + line.number - 1  # pyarrow counts from 1
        if text.endswith(self._end):
            self._open = text.removesuffix(self._end).removesuffix("\n").encode()
            self._records = record
            return "skip"
        if text == self._lines.placeholder:
            text, opens_quote = self._lines.replaced.popleft()
        row = record - 1  # the header is a record
        broken = BrokenLine(row, line.expected_columns, line.actual_columns, text, opens_quote)
        return "skip" if self._on_broken(broken) else "error"

    def _require_closed_cells(self, text: bytes) -> None:
        """Raise TableError where a cell goes on behind its closing quote: then a quote before it was not closed."""
        lines = io.StringIO(text.decode(), newline="")
        reader = csv.reader(lines, delimiter=self._form.delimiter, strict=True)
        begins = self._line
        try:
            for _ in reader:
                begins = self._line + reader.line_num
        except csv.Error as error:
            if "expected after" in str(error):  # and not that the last record of the chunk is open
                raise _unreadable(
                    self._name,
                    f"line {begins} has text behind a closing quote. Check the quotes of this line.",
                    BrokenLineError,
                ) from None

    def _require_closable(self) -> None:
        """Raise TableError where the open record cannot end: the file does, or the record is too long."""
        if self._lines.at_end:
            reason = f"line {self._line} opens a quote that is never closed. Close it."
        elif len(self._open) > self._form.block:
            reason = _too_long(self._form.block, f"line {self._line} opens a quote, and ")
        else:
            return
        raise _unreadable(self._name, reason, BrokenLineError)


def _count_line_ends(text: bytes) -> int:
    return text.count(b"\n") + text.count(b"\r") - text.count(b"\r\n")


class RowNumbers:
    """Numbers the rows of a CSV file from 0: broken lines count, and are in no batch."""

    def __init__(self) -> None:
        self._next = 0
        self._broken: list[int] = []

    def take(self, count: int, broken: Sequence[BrokenLine]) -> NDArray[np.int64]:
        """The numbers [count] of the next batch's rows; `broken` are the lines reported since the last call."""
        self._broken = [row for row in self._broken if row >= self._next]
        self._broken += [line.row for line in broken]
        numbers = np.arange(self._next, self._next + count + len(self._broken))
        numbers = numbers[~np.isin(numbers, self._broken)][:count]
        self._next = int(numbers[-1]) + 1 if count else self._next
        return numbers


def require_unique(name: str, columns: Sequence[str]) -> None:
    """Raise TableError where the file or body `name` has two columns of one name."""
    for column, count in Counter(columns).items():
        if count > 1:
            positions = [str(at) for at, other in enumerate(columns, 1) if other == column]
            raise TableError(
                f"{name} has {counted(count, 'column')} called {column[:64]!r}. Name each column once.",
                f"columns {', '.join(positions[:10])} have the same name. Name each column once.",
            )


def _read_header(head: bytes, name: str, form: CsvReadOptions) -> list[str]:
    """The column names in the first line that is not empty."""
    lines = io.StringIO(head.decode("utf-8-sig", "surrogateescape"), newline="")
    try:
        names = next(filter(None, csv.reader(lines, delimiter=form.delimiter)), [])
    except csv.Error as error:
        raise InputError(f"{name} has no readable header: {error}.") from error
    if not names:
        raise _unreadable(name, "it is empty. The first line names the columns.")
    first, *rest = re.split(_LINE_END.encode(), head.lstrip(b"\r\n"), maxsplit=1)
    if any(char == "\0" or "\udc80" <= char <= "\udcff" for char in "".join(names)):
        raise _unreadable(name, "it is not UTF-8. Save it as CSV in UTF-8, not compressed.")
    if not rest:
        raise _unreadable(
            name,
            "no line follows the header. Write the column names in a line, and each row in one.",
        )
    if form.line_per_record and _opens_quote(_binary_array(first), form.delimiter)[0]:
        raise _unreadable(name, "its header opens a quote that it does not close. Close it.")
    require_unique(name, names)
    return names


def _unreadable(name: str, reason: str, kind: type[TableError] = TableError) -> TableError:
    return kind(f"{name} cannot be read as csv: {reason}", reason)


def _opens_quote(lines: Any, delimiter: str) -> NDArray[np.bool_]:
    """Which lines [n] open a quote and do not close it, or go on behind one that is closed."""
    mark = rf"\x{ord(delimiter):02x}"
    cell = f'(?:"(?:[^"]|"")*"|[^"{mark}][^{mark}]*)?'
    return ~to_mask(pc.match_substring_regex(lines, f"^{cell}(?:{mark}{cell})*$"))


class _LineReader:
    """Reads whole lines of a CSV file; with `line_per_record`, one that pyarrow would misread is replaced.

    Those are lines that open a quote and do not close it, which would swallow the next lines, and lines that are
    not UTF-8 and have too many or too few cells. In their place stands a line with too many cells, `placeholder`;
    `replaced` holds their texts, and whether each opened a quote.
    """

    def __init__(self, file: Any, name: str, cells: int, form: CsvReadOptions) -> None:
        self.placeholder = uuid4().hex + form.delimiter * cells
        self.replaced: deque[tuple[str, bool]] = deque()
        self.at_end = False
        self._file = file
        self._name = name
        self._cells = cells
        self._form = form
        self._rest = b""

    def take(self) -> bytes:
        """Returns whole lines, about a block, and nothing at the end of the file."""
        text = self._whole_lines()
        if self._form.line_per_record:
            return self._sanitise(text)
        text.decode()
        return text

    def put_back(self, text: bytes) -> None:
        """Puts text before what is read next."""
        self._rest = text + self._rest

    def _whole_lines(self) -> bytes:
        block = self._form.block
        while True:
            read: bytes = self._file.read(block)
            self.at_end = not read
            text = self._rest + read
            # a carriage return at the very end may be half of a line's end
            end = max(text.rfind(b"\n"), text.rfind(b"\r", 0, -1)) + 1 if read else len(text)
            if not end and len(text) >= 2 * block:
                raise self._line_too_long()
            self._rest = text[end:]
            if end or not read:
                return text[:end]

    def _line_too_long(self) -> InputError:
        block = self._form.block
        if self._form.line_per_record:
            return InputError(
                f"{self._name} has a line longer than {block:,} bytes. See whether it is a CSV file, a record"
                " a line."
            )
        reason = _too_long(block)
        return TableError(f"{self._name} cannot be read as csv: {reason}", reason)

    def _sanitise(self, text: bytes) -> bytes:
        readable = _is_utf8(text)
        if readable and b'"' not in text:
            return text
        lines = pc.split_pattern_regex(_binary_array(text), _LINE_END).values
        opens_quote = _opens_quote(lines, self._form.delimiter)
        if readable and not opens_quote.any():
            return text
        return b"\n".join(
            self._replace(line, opens_quote=bool(opens))
            if opens or (not readable and self._is_unreadable(line))
            else line
            for line, opens in zip(lines.to_pylist(), opens_quote, strict=True)
        )

    def _is_unreadable(self, line: bytes) -> bool:
        """Whether a line is not UTF-8 and no row: pyarrow could not report its text."""
        delimiter = self._form.delimiter.encode()
        quoted = rb'(?:^|(?<=\x%02x))"(?:[^"]|"")*+"' % ord(delimiter)
        separators = re.sub(quoted, b"", line).count(delimiter)
        return separators + 1 != self._cells and not _is_utf8(line)

    def _replace(self, line: bytes, *, opens_quote: bool) -> bytes:
        self.replaced.append((line.decode(errors="backslashreplace"), opens_quote))
        return self.placeholder.encode()


def _too_long(block: int, where: str = "") -> str:
    return f"{where}a line is longer than {block >> 10} KiB. Check its quotes."


def _is_utf8(text: bytes) -> bool:
    try:
        text.decode()
    except UnicodeDecodeError:
        return False
    return True


def _binary_array(text: bytes) -> Any:
    """One binary cell, without a copy."""
    offsets = pa.py_buffer(np.array([0, len(text)], np.int32))
    return pa.Array.from_buffers(pa.binary(), 1, [None, offsets, pa.py_buffer(text)])


def _arrow_buffer(*parts: bytes) -> Any:
    """Return the parts in memory of Arrow: its threads let go of it without Python."""
    buffer = pa.allocate_buffer(sum(map(len, parts)))
    view, at = memoryview(buffer).cast("B"), 0
    for part in parts:
        view[at : at + len(part)] = part
        at += len(part)
    return buffer
