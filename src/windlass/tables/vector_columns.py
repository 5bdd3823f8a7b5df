"""Columns of vectors: lists of fixed length in Arrow, or as JSON in cells of CSV."""

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from windlass.core.row_schema import ColumnSchema, RowSchema, type_error_message
from windlass.core.row_validator import RowValidator
from windlass.errors import RowsError
from windlass.tables.arrow_numpy import mask_array, to_numpy, validity_mask
from windlass.tables.column_checks import (
    ColumnCheck,
    Mask,
    reject_non_finite,
    reject_out_of_bounds,
)
from windlass.tables.text_columns import is_text


def read_vectors(
    column: ColumnSchema,
    array: Any,
    present: Mask | None,
    target: NDArray[np.float64],
    *,
    strings: bool,
) -> ColumnCheck:
    """Validate a column of lists and write their numbers into `target` [n, length], NaN where a cell is not present.

    With `strings`, cells are text, and read as JSON, as `RowValidator.parse_text_row` does.
    """
    cells = ColumnCheck(np.empty(0), np.ones(len(array), np.bool_) if present is None else present)
    assert cells.present is not None
    target[:] = np.nan
    if strings and is_text(array.type):
        _read_texts(cells, column, array, target)
        return cells
    if not _is_list_of_numbers(array.type):
        cells.reject(np.ones(len(array), np.bool_), type_error_message(column))
        return cells
    lengths = to_numpy(pc.list_value_length(array))
    cells.reject(lengths != column.width, type_error_message(column))
    rows = np.flatnonzero(cells.present)
    numbers = pc.list_flatten(array.filter(mask_array(cells.present)))
    elements = _read_numbers(column, numbers)
    for reason, positions in elements.rejections:
        _reject_elements(cells, rows, positions, column.width, reason)
    target[rows] = (elements.values + 0.0).reshape(len(rows), column.width)
    target[~cells.present] = np.nan
    return cells


def _is_list_of_numbers(kind: Any) -> bool:
    if not (
        pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind)
    ):
        return False
    number = kind.value_type
    return bool(
        pa.types.is_floating(number) or pa.types.is_integer(number) or pa.types.is_decimal(number)
    )


def _read_numbers(column: ColumnSchema, numbers: Any) -> ColumnCheck:
    """Validate the numbers of all lists, one after the other; a null is none."""
    number = column.element(0).model_copy(update={"nullable": False})
    if pa.types.is_decimal(numbers.type):
        numbers = numbers.cast(pa.float64())
    elements = ColumnCheck(to_numpy(numbers).astype(np.float64))
    valid = validity_mask(numbers)
    if valid is not None:
        elements.reject(~valid, f"{type_error_message(number)}, not null")
    reject_non_finite(elements, number)
    reject_out_of_bounds(elements, number)
    return elements


def _reject_elements(
    cells: ColumnCheck, rows: NDArray[np.intp], elements: NDArray[np.intp], length: int, reason: str
) -> None:
    """Reject the lists [n] that hold these numbers, with their positions."""
    assert cells.present is not None
    positions = elements % length
    for position in np.unique(positions).tolist():
        mask = np.zeros(len(cells.present), np.bool_)
        mask[rows[elements[positions == position] // length]] = True
        cells.reject(mask, f"Item {position}: {reason}")


def _read_texts(
    cells: ColumnCheck, column: ColumnSchema, texts: Any, target: NDArray[np.float64]
) -> None:
    """Validate each text by pydantic."""
    assert cells.present is not None
    cell = column.model_copy(update={"nullable": False, "required": True, "default": None})
    validator = RowValidator(RowSchema.from_columns("cell", cell))
    reasons: dict[str, list[int]] = {}
    for row in np.flatnonzero(cells.present).tolist():
        try:
            target[row] = validator.parse_text_row({cell.name: texts[row].as_py()})[cell.name]
        except RowsError as error:
            fault = error.faults[0]
            prefix = "".join(f"Item {position}: " for position in fault["loc"][1:])
            reasons.setdefault(prefix + fault["msg"], []).append(row)
    target += 0.0
    for reason, wrong in reasons.items():
        mask = np.zeros(len(texts), np.bool_)
        mask[wrong] = True
        cells.reject(mask, reason)
