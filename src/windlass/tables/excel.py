"""Reads the first sheet of an Excel file as columns of text, which are then read as cells of CSV."""

from datetime import datetime, time
from pathlib import Path
from typing import Any

import pyarrow as pa

from windlass.core.error_descriptions import missing_extra
from windlass.errors import InputError, TableError
from windlass.tables.arrow_numpy import text_array

_MIDNIGHT = time()
_MAX_PLAIN_FLOAT = 1e15


def read_sheet(path: Path, decimal: str) -> Any:
    """Returns the first sheet of an .xlsx file as a `pa.Table` of text; the first row names the columns.

    Numbers are written with the `decimal` mark, dates as YYYY-MM-DD. Rows that are wholly empty are left out at the
    end of the sheet only. Raises InputError.
    """
    rows = _read_cells(path)
    while rows and not any(_text(cell, decimal) for cell in rows[-1]):
        rows.pop()
    names = [_text(cell, decimal) for cell in rows[0]] if rows else []
    while names and not names[-1]:
        names.pop()
    if not names:
        raise TableError(
            f"{path} cannot be read as xlsx: its first sheet is empty. The first row names the columns.",
            "its first sheet is empty. The first row names the columns.",
        )
    for number, row in enumerate(rows, 1):
        if any(_text(cell, decimal) for cell in row[len(names) :]):
            reason = f"row {number} has cells in columns that have no name in the first row."
            raise TableError(f"{path} cannot be read as xlsx: {reason}", reason)
    columns = [
        text_array([_text(row[at], decimal) if at < len(row) else "" for row in rows[1:]])
        for at in range(len(names))
    ]
    return pa.Table.from_arrays(columns, names)


def _read_cells(path: Path) -> list[list[Any]]:
    try:
        from python_calamine import CalamineError, CalamineWorkbook
    except ModuleNotFoundError as error:
        raise InputError(f"{path} is an Excel file, and {missing_extra(error)}.") from error
    try:
        with CalamineWorkbook.from_path(str(path)) as workbook:
            return list(workbook.get_sheet_by_index(0).to_python(skip_empty_area=False))
    except (CalamineError, OSError) as error:
        raise InputError(f"{path} cannot be read as xlsx: {error}. Check the file.") from error


def _text(cell: Any, decimal: str) -> str:
    if isinstance(cell, bool):
        return "true" if cell else "false"
    if isinstance(cell, float) and cell.is_integer() and abs(cell) < _MAX_PLAIN_FLOAT:
        return str(int(cell))
    if isinstance(cell, int | float):
        return repr(cell).replace(".", decimal)
    if isinstance(cell, datetime) and cell.time() == _MIDNIGHT:
        return cell.date().isoformat()
    return "" if cell is None else str(cell)
