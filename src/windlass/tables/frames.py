"""Rows that Python code holds: data frames of any library as Arrow, and answers in the form of the rows.

The Python API and the client read rows with it. No library of data frames is imported that the caller has not.
"""

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import pyarrow as pa
from pydantic import BaseModel

from windlass.core.error_descriptions import missing_extra
from windlass.errors import InputError

FrameKind = Literal["pandas", "polars", "arrow"]


def frame_kind(value: object) -> FrameKind | None:
    """Returns the library that a data frame is of; None for anything else."""
    for kind, module in (("pandas", "pandas"), ("polars", "polars")):
        library = sys.modules.get(module)
        if library is not None and isinstance(value, library.DataFrame):
            return kind  # type: ignore[return-value]  # one of the two literals
        if library is not None and isinstance(value, getattr(library, "LazyFrame", ())):
            raise InputError("A lazy frame holds no rows yet. Call .collect() on it first.")
    return "arrow" if isinstance(value, pa.Table | pa.RecordBatch) else None


def to_arrow(frame: Any, kind: FrameKind) -> pa.Table:
    """Returns a data frame [n, k] as an Arrow table, without its index.

    Raises InputError for a column that Arrow cannot hold, such as one of numbers and text.
    """
    try:
        if kind == "pandas":
            return pa.Table.from_pandas(frame, preserve_index=False)
        if kind == "polars":
            return frame.to_arrow()
        return pa.table(frame) if isinstance(frame, pa.RecordBatch) else frame
    except (pa.ArrowException, TypeError, ValueError, OverflowError) as error:
        reason = " ".join(str(error).split())[:300].rstrip(".")
        raise InputError(
            f"The data frame cannot be read: {reason}. Give each column one type, and each name once."
        ) from error


def from_arrow(table: pa.Table, kind: FrameKind, index: Any = None) -> Any:
    """Returns an Arrow table as a frame of this library; `index` is that of a pandas frame. Raises InputError."""
    if kind == "arrow":
        return table
    try:
        if kind == "polars":
            import polars as pl

            return pl.from_arrow(table)
        frame = table.to_pandas()
    except ModuleNotFoundError as error:
        raise InputError(missing_extra(error) or str(error)) from error
    return frame if index is None else frame.set_axis(index, axis="index")


@dataclass(frozen=True)
class RowSource:
    """Where rows came from, so that answers [n] get the same form: one mapping, several, or a frame.

    `kind` is the library of the frame, None for mappings; `index` that of a pandas frame.
    """

    kind: FrameKind | None
    is_single: bool = False
    index: Any = None

    def answers(self, values: Sequence[Any]) -> Any:
        """Returns answers to mappings [n]: a list, or the one answer."""
        return values[0] if self.is_single else list(values)

    def column(self, name: str, array: pa.Array) -> Any:
        """Returns answers [n] as a column with this name of the frame's library."""
        if self.kind is None or self.kind == "arrow":
            return array
        return from_arrow(pa.table({name: array}), self.kind, self.index)[name]

    def table(self, table: pa.Table | pa.RecordBatch) -> Any:
        """Returns answers [n, k] as a frame of the same library."""
        whole = pa.Table.from_batches([table]) if isinstance(table, pa.RecordBatch) else table
        return from_arrow(whole, self.kind or "arrow", self.index)


def row_source(rows: object) -> RowSource:
    """Returns the form of rows: a frame, one row, several rows, or the path of a file, answered as a pandas frame.

    Raises InputError for anything else.
    """
    kind = frame_kind(rows)
    if kind is not None:
        return RowSource(kind, index=rows.index if kind == "pandas" else None)  # type: ignore[attr-defined]  # a frame
    if isinstance(rows, str | Path):
        return RowSource("pandas")
    if isinstance(rows, Mapping | BaseModel):
        return RowSource(None, is_single=True)
    if isinstance(rows, Sequence) and not isinstance(rows, bytes | bytearray):
        return RowSource(None)
    raise InputError(
        f"Rows of the type {type(rows).__name__} cannot be read, since their columns have no names. Give a data"
        " frame (pandas, Polars or Arrow), a dict for each row, or the path of a file."
    )
