"""Converter of SimpleImputer, on numbers and on text; missing text is the empty string."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from windlass.engines.convert.types import UnsupportedError

if TYPE_CHECKING:
    from windlass.engines.convert.compiler import Compiler
    from windlass.engines.convert.graph import Columns, Graph


def simple_imputer(compiler: Compiler, step: Any, columns: Columns) -> Columns:
    """Append the imputer; columns that were empty when it was fitted are dropped as it does."""
    graph = compiler.graph
    retained = list(range(len(columns)))
    if not step.keep_empty_features:
        retained = [i for i in retained if not _is_nan(step.statistics_[i])]
    result: list[Any] = [None] * len(columns)
    for text in (False, True):
        group = [i for i in retained if columns[i].text is text]
        if not group:
            continue
        parts = tuple(columns[i] for i in group)
        values = [step.statistics_[i] for i in group]
        for i, column in zip(group, _filled(graph, step, parts, values), strict=True):
            result[i] = column
    filled = tuple(column for column in result if column is not None)
    if step.add_indicator:
        filled += _indicator(graph, step, columns)
    return filled


def _filled(graph: Graph, step: Any, columns: Columns, values: list[Any]) -> Columns:
    name = graph.concatenate(columns)
    if columns[0].text:
        if any(_is_nan(value) for value in values):
            raise UnsupportedError("SimpleImputer: a text column has nothing to fill in")
        fill = graph.constant(np.array(values, object))
        full = graph.node("Where", _missing(graph, step, columns), fill, name)
        return graph.tensor_columns(full, len(columns), text=True)
    fill = graph.constant(np.array(values, np.float64))
    full = graph.node("Where", _missing(graph, step, columns), fill, name)
    return graph.tensor_columns(full, len(columns), [c.origin for c in columns])


def _missing(graph: Graph, step: Any, columns: Columns) -> str:
    """Return which cells are missing, boolean [N, len(columns)]."""
    name = graph.concatenate(columns)
    if not _is_nan(step.missing_values):
        if columns[0].text or isinstance(step.missing_values, str):
            raise UnsupportedError("SimpleImputer: missing_values other than NaN in text")
        return graph.node("Equal", name, graph.constant(float(step.missing_values)))
    if columns[0].text:
        return graph.node("Equal", name, graph.constant(np.array([""], object)))
    return graph.node("IsNaN", name)


def _indicator(graph: Graph, step: Any, columns: Columns) -> Columns:
    result: Columns = ()
    for i in step.indicator_.features_:
        flags = graph.node("Cast", _missing(graph, step, (columns[i],)), to=11)  # 11: double
        result += graph.tensor_columns(flags, 1)
    return result


def _is_nan(value: Any) -> bool:
    return value is None or (isinstance(value, float) and np.isnan(value)) or value is np.ma.masked
