"""Rows that Python code holds, mappings or models of pydantic, as JSON objects."""

import math
from collections.abc import Iterable, Mapping
from datetime import date, datetime, time
from decimal import Decimal
from typing import Any

import numpy as np
import orjson
from pydantic import BaseModel

from windlass.errors import Fault, RowsError

_JSON_OPTIONS = orjson.OPT_SERIALIZE_NUMPY | orjson.OPT_PASSTHROUGH_DATETIME


def json_rows(rows: Iterable[object]) -> list[bytes]:
    """Returns each row, a mapping or a model of pydantic, as a JSON object.

    NaN, NaT and NA are null; a date, or a moment at midnight, is a day. Raises RowsError for what JSON cannot hold,
    such as infinity.
    """
    encoded: list[bytes] = []
    faults: list[Fault] = []
    for number, row in enumerate(rows):
        values = row.model_dump(by_alias=True) if isinstance(row, BaseModel) else row
        if not isinstance(values, Mapping):
            faults.append(
                {"loc": [number], "msg": "Input should be a dict, with a value by column"}
            )
            continue
        faults += [
            {"loc": [number, str(name)], "msg": "Input should be a finite number"}
            for name, value in values.items()
            if _is_infinite(value)
        ]
        try:
            encoded.append(orjson.dumps(dict(values), default=_json_value, option=_JSON_OPTIONS))
        except TypeError as error:  # orjson's own; its cause names the type
            reason = str(error.__cause__ or error)
            faults.append({"loc": [number], "msg": f"Input cannot be read: {reason}"})
    if faults:
        raise RowsError(faults)
    return encoded


def _is_infinite(value: object) -> bool:
    """Whether a value is or holds infinity, which orjson would write as null."""
    if isinstance(value, float | np.floating):
        return math.isinf(value)
    if isinstance(value, np.ndarray):
        return value.dtype.kind == "f" and bool(np.isinf(value).any())
    return isinstance(value, list | tuple) and any(map(_is_infinite, value))


def _json_value(value: Any) -> Any:
    """Returns the JSON value of what JSON has no type for. Raises TypeError."""
    if type(value).__name__ in ("NAType", "NaTType"):  # of pandas
        return None
    match value:
        case datetime() if value.tzinfo is None and value.time() == time():
            return value.date().isoformat()
        case datetime() | date():
            return value.isoformat()
        case Decimal() if value.is_nan():
            return None
        case Decimal() if value.is_finite():
            return float(value)
    raise TypeError(f"a value of the type {type(value).__name__}")
