"""Converters of categorical encoders, as one lookup for all text and one for all numeric columns."""

from __future__ import annotations

import warnings
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from windlass.engines.convert.graph import ML, Array, Columns, Graph, tensor
from windlass.engines.convert.types import UnsupportedError

if TYPE_CHECKING:
    from windlass.engines.convert.compiler import Compiler

_MISSING = float("nan")  # one object: NaN is no other NaN, and columns share a table
_MAX_TABLE_CELLS = 1_000_000  # cells; a shared table beyond this is split by column


@dataclass(frozen=True)
class Lookup:
    """Lookup table of one column: ``rows[i]`` for ``keys[i]``, ``other`` for any other value.

    Where ``rejects``, the encoder rejects any other value, and ``other`` is NaN.
    """

    keys: tuple[str | float, ...]
    rows: Array  # float64 [len(keys), width]
    other: Array  # float64 [width]
    rejects: bool

    def hides_rejections(self) -> bool:
        """Whether its codes do not show what it rejects: NaN is a code too, or there are no columns."""
        return self.rejects and (not len(self.other) or self.has_missing_code())

    def has_missing_code(self) -> bool:
        """Whether a value that the encoder does not reject is encoded as NaN."""
        codes = self.rows if self.rejects else np.vstack([self.rows, self.other])
        return bool(np.isnan(codes).any())

    def columns(self, encoded: Columns) -> Columns:
        """Return the encoder's output columns, with what is known of their values."""
        finite = not self.has_missing_code()
        marked = self.rejects and finite
        return tuple(replace(column, finite=finite, rejectable=marked) for column in encoded)


def encoder(compiler: Compiler, step: Any, columns: Columns) -> Columns:
    """Append a one-hot, ordinal or target encoder."""
    lookups = _read_lookups(step, columns)
    result: list[Columns] = [()] * len(columns)
    for text in (False, True):
        group = [i for i, column in enumerate(columns) if column.text is text]
        for part in _split(group, lookups):
            tables = [lookups[i] for i in part]
            encoded = _encode(compiler, tuple(columns[i] for i in part), tables)
            start = 0
            for i in part:
                width = len(lookups[i].other)
                result[i] = lookups[i].columns(encoded[start : start + width])
                start += width
    return tuple(column for part in result for column in part)


def category_codes(compiler: Compiler, columns: Columns, categories: list[list[Any]]) -> Columns:
    """Append the position of each value among the categories of its column, NaN for any other."""
    lookups = [
        Lookup(
            keys=tuple(_key(value, text=column.text) for value in values),
            rows=np.arange(len(values), dtype=np.float64).reshape(-1, 1),
            other=np.array([np.nan]),
            rejects=False,
        )
        for column, values in zip(columns, categories, strict=True)
    ]
    return _encode(compiler, columns, lookups)


def lookup_rows(
    compiler: Compiler, columns: Columns, keys: tuple[str, ...], rows: Array
) -> Columns:
    """Append the row of a table [keys, width] for the value of one column; any other value is rejected."""
    lookup = Lookup(keys, rows, np.full(rows.shape[1], np.nan), rejects=True)
    return lookup.columns(_encode(compiler, columns, [lookup]))


def _read_lookups(step: Any, columns: Columns) -> list[Lookup]:
    """Return the lookup table of every column, by encoding every category with the fitted encoder.

    This covers dropped, infrequent, unknown and missing categories in one way.
    """
    categories = [list(values) for values in step.categories_]
    size = max(len(values) for values in categories)
    padded = [[values[min(row, len(values) - 1)] for row in range(size)] for values in categories]
    codes = _transform(step, columns, padded)
    other = _other_codes(step, columns, categories)
    lookups, start = [], 0
    for column, values, width in zip(columns, categories, _widths(step, codes), strict=True):
        keys = tuple(_key(value, column.text) for value in values)
        if len(set(keys)) != len(keys):
            raise UnsupportedError(f"{type(step).__name__}: two categories are missing values")
        stop = start + width
        rows = codes[: len(keys), start:stop]
        code = np.full(width, np.nan) if other is None else other[start:stop]
        lookups.append(Lookup(keys, rows, code, rejects=other is None))
        start = stop
    return lookups


def _other_codes(step: Any, columns: Columns, categories: list[list[Any]]) -> Array | None:
    """Return the codes of values that are not categories, float64 [width]; None where they are rejected."""
    unseen: list[list[Any]] = []
    for column, values in zip(columns, categories, strict=True):
        numbers = [v for v in values if isinstance(v, int | float) and not pd.isna(v)]
        new_text = "?" + "".join(str(value) for value in values)
        unseen.append([new_text if column.text else float(max(numbers, default=0)) + 1.0])
    try:
        codes: Array = _transform(step, columns, unseen)[0]
    except ValueError:
        return None
    return codes


def _transform(step: Any, columns: Columns, values: list[list[Any]]) -> Array:
    data = {
        i: pd.Series(value, dtype=object if column.text else np.float64)
        for i, (column, value) in enumerate(zip(columns, values, strict=True))
    }
    frame: Any = pd.DataFrame(data)
    if hasattr(step, "feature_names_in_"):
        frame.columns = step.feature_names_in_
    else:
        frame = frame.to_numpy()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # unknown categories are intended here
        codes = step.transform(frame)
    dense = codes.toarray() if hasattr(codes, "toarray") else codes
    return np.asarray(dense, np.float64)


def _widths(step: Any, codes: Array) -> list[int]:
    if hasattr(step, "_n_features_outs"):
        return [int(width) for width in step._n_features_outs]  # noqa: SLF001 - it has no public name
    count = len(step.categories_)
    return [codes.shape[1] // count] * count


def _key(value: Any, text: bool) -> str | float:
    missing = bool(pd.isna(value))
    if text:
        if not missing and not isinstance(value, str):
            raise UnsupportedError(f"encoder: the category {value!r} of a text column is not text")
        return "" if missing else str(value)
    return _MISSING if missing else float(value)


def _split(group: list[int], lookups: list[Lookup]) -> list[list[int]]:
    """Return the columns that share a table."""
    keys = len({key for i in group for key in lookups[i].keys}) + 1
    cells = keys * len(group) * sum(len(lookups[i].other) for i in group)
    if len(group) > 1 and cells > _MAX_TABLE_CELLS:
        return [[i] for i in group]
    return [group] if group else []


def _encode(compiler: Compiler, columns: Columns, lookups: list[Lookup]) -> Columns:
    """Look all columns up in one table and return the codes side by side."""
    graph = compiler.graph
    keys = list(dict.fromkeys(key for lookup in lookups for key in lookup.keys))
    position = {key: i for i, key in enumerate(keys)}
    size, width = len(keys) + 1, sum(len(lookup.other) for lookup in lookups)
    ordinal = all(len(lookup.other) == 1 for lookup in lookups)
    table = np.zeros((len(lookups), size, 1 if ordinal else width))
    start = 0
    for i, lookup in enumerate(lookups):
        target = slice(0, 1) if ordinal else slice(start, start + len(lookup.other))
        table[i, :, target] = lookup.other
        table[i, [position[key] for key in lookup.keys], target] = lookup.rows
        start += len(lookup.other)
    codes = _positions(graph, columns, keys)
    if len(lookups) > 1:
        codes = graph.node("Add", codes, graph.constant(np.arange(len(lookups)) * size))
    if any(lookup.hides_rejections() for lookup in lookups):
        compiler.reject_marked(_unknown(graph, codes, keys, lookups))
    if not width:  # the one category of every column is dropped
        return ()
    if ordinal:
        encoded = graph.node("Gather", graph.constant(table.ravel()), codes, axis=0)
        return graph.tensor_columns(encoded, width)
    encoded = graph.node("Gather", graph.constant(table.reshape(-1, width)), codes, axis=0)
    axis = graph.constant([1])
    if len(lookups) == 1:
        return graph.tensor_columns(graph.node("Squeeze", encoded, axis), width)
    return graph.tensor_columns(graph.node("ReduceSum", encoded, axis, keepdims=0), width)


def _unknown(graph: Graph, codes: str, keys: list[str | float], lookups: list[Lookup]) -> str:
    """Append NaN for the cells that an encoder rejects, 0 for others, float64 [N, columns]."""
    marks = np.zeros((len(lookups), len(keys) + 1))
    for mark, lookup in zip(marks, lookups, strict=True):
        if lookup.rejects:
            mark[[*(key not in lookup.keys for key in keys), True]] = np.nan
    return graph.node("Gather", graph.constant(marks.ravel()), codes, axis=0)


def _positions(graph: Graph, columns: Columns, keys: list[str | float]) -> str:
    """Append each cell's index in ``keys`` (``len(keys)`` if absent), int64 [N, k]."""
    array = np.array(keys, object if columns[0].text else np.float64)
    return graph.node(
        "LabelEncoder",
        graph.concatenate(columns),
        domain=ML,
        keys_tensor=tensor(array),
        values_tensor=tensor(np.arange(len(keys), dtype=np.int64)),
        default_tensor=tensor(np.array([len(keys)], np.int64)),
    )
