"""Writes the quarantine table: the raw rows that failed, with their numbers in the file and every reason."""

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from windlass.core.atomic_files import fsync_path
from windlass.features.ingest.casting import temporal_as_text
from windlass.features.ingest.quality import BROKEN_LINE, OPEN_QUOTE, QualityReport
from windlass.features.offline.erasure import ErasedEntities, join_cells
from windlass.tables.csv_reader import BrokenLine

_SCHEMA = pa.schema(
    [
        ("file", pa.string()),
        ("row", pa.int64()),
        ("entity", pa.string()),
        ("reasons", pa.list_(pa.string())),
        ("raw", pa.string()),
    ]
)


class Quarantine:
    """Writes the quarantine table of one raw file and counts its rows; erased entities are left out.

    `file` is the raw file's name, `row` counts its rows from 1, `entity` is the entity's cell as text
    (of several columns, a JSON array of their cells), and `raw` the row as a JSON object of its cells (of a broken
    line, its text).
    """

    def __init__(
        self, path: Path, file: str, entity: Sequence[str], erased: ErasedEntities
    ) -> None:
        self.path = path
        self.report = QualityReport()
        self._file = file
        self._entity = entity
        self._erased = erased
        self._writer = pq.ParquetWriter(path, _SCHEMA, compression="zstd")

    def __enter__(self) -> "Quarantine":
        return self

    def __exit__(self, *_: object) -> None:
        self._writer.close()
        fsync_path(self.path)

    def add(self, cells: pl.DataFrame, rows: pl.Series, reasons: pl.DataFrame) -> None:
        """Write the rows of a batch that have `reasons`: `row`, the position in the batch, and `reason`."""
        grouped = reasons.group_by("row", maintain_order=True)
        faults = grouped.agg(pl.col("reason").unique(maintain_order=True)).sort("row")
        bad = pl.DataFrame([temporal_as_text(column) for column in cells[faults["row"]]])
        raw = [
            {name: _json_cell(value) for name, value in row.items()}
            for row in bad.iter_rows(named=True)
        ]
        self._write(
            (
                number,
                [row.get(name) for name in self._entity],
                row_reasons,
                json.dumps(row, ensure_ascii=False),
            )
            for number, row, row_reasons in zip(
                rows[faults["row"]], raw, faults["reason"].to_list(), strict=True
            )
        )

    def add_broken(self, lines: list[BrokenLine]) -> None:
        """Write lines of CSV that are no rows."""
        self._write(
            (
                line.row + 1,
                [line.text] * len(self._entity),
                [OPEN_QUOTE if line.opens_quote else BROKEN_LINE],
                line.text,
            )
            for line in lines
        )

    def _write(self, rows: Iterable[tuple[int, list[Any], list[str], str]]) -> None:
        table = []
        for number, entity, reasons, raw in rows:
            cells = [None if cell is None else str(cell) for cell in entity]
            if self._erased.mentioned_in(cells):
                self.report.erased += 1
                continue
            self.report.reasons.update(reasons)
            table.append((self._file, number, join_cells(cells), reasons, raw))
        self.report.quarantined += len(table)
        if table:
            columns = [list(column) for column in zip(*table, strict=True)]
            self._writer.write_table(pa.table(columns, schema=_SCHEMA))


def _json_cell(value: Any) -> Any:
    """Returns a cell as JSON can hold it."""
    if isinstance(value, bytes):
        return value.decode(errors="backslashreplace")
    if value is None or isinstance(value, bool | int | str):
        return value
    return str(value)
