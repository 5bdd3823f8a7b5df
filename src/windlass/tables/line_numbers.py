"""Finds the physical lines of records of CSV, for messages: cells and empty lines may move records from their row."""

import csv
import io
from collections.abc import Collection, Iterable, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

from windlass.core.csv_format import CsvFormat


def find_lines(
    source: Path | bytes,
    csv_format: CsvFormat,
    rows: Collection[int],
    *,
    line_per_record: bool = False,
) -> dict[int, int]:
    """Return the physical lines, from 1, on which records begin, by their row: the header is row -1.

    With `line_per_record` each line is a record. Rows that cannot be found are left out.
    """
    lines: dict[int, int] = {}
    last = max(rows, default=-2)
    with ExitStack() as stack, suppress(csv.Error):
        file: Any = io.BytesIO(source) if isinstance(source, bytes) else source.open("rb")
        stack.enter_context(file)
        encoding = "utf-8-sig" if csv_format.encoding == "utf-8" else csv_format.encoding
        text = io.TextIOWrapper(file, encoding, errors="replace", newline="")
        starts = _line_starts(text) if line_per_record else _record_starts(text, csv_format)
        for row, line in enumerate(starts, -1):
            if row in rows:
                lines[row] = line
            if row >= last:
                break
    return lines


def _line_starts(text: Iterable[str]) -> Iterator[int]:
    return (number for number, line in enumerate(text, 1) if line.strip("\r\n"))


def _record_starts(text: Iterable[str], csv_format: CsvFormat) -> Iterator[int]:
    reader = csv.reader(text, delimiter=csv_format.delimiter)
    begins = 1
    for record in reader:
        if record:
            yield begins
        begins = reader.line_num + 1
