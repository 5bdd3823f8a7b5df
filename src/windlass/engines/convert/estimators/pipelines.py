"""Converters of estimators that route columns to others: pipelines, column transformers, searches."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from windlass.engines.convert.estimators.functions import apply_function
from windlass.engines.convert.types import UnsupportedError

if TYPE_CHECKING:
    from windlass.engines.convert.compiler import Compiler
    from windlass.engines.convert.graph import Columns


def last_step(compiler: Compiler, pipeline: Any, columns: Columns) -> tuple[Any, Columns]:
    """Append every step of a pipeline but the last and samplers, which only work during fit."""
    for _, step in pipeline.steps[:-1]:
        if not hasattr(step, "fit_resample"):
            columns = compiler.transform(step, columns)
    return pipeline.steps[-1][1], columns


def inner_estimator(_: Compiler, wrapper: Any, columns: Columns) -> tuple[Any, Columns]:
    """Return the estimator inside a search or a frozen estimator."""
    own = vars(wrapper)  # a frozen estimator also has the attributes of what it holds
    name = next(name for name in ("best_estimator_", "estimator_", "estimator") if name in own)
    return own[name], columns


def column_transformer(compiler: Compiler, step: Any, columns: Columns) -> Columns:
    """Append a column transformer; its choices were resolved to positions when it was fitted."""
    result: list[Any] = []
    for name, transformer, _ in step.transformers_:
        chosen = step._transformer_to_input_indices.get(name, [])  # noqa: SLF001 - it has no public name
        if (isinstance(transformer, str) and transformer == "drop") or len(chosen) == 0:
            continue
        part = compiler.transform(transformer, tuple(columns[i] for i in chosen))
        weight = (step.transformer_weights or {}).get(name)
        result += part if weight is None else _weighted(compiler, step, part, weight)
    return tuple(result)


def feature_union(compiler: Compiler, step: Any, columns: Columns) -> Columns:
    """Append transformers side by side."""
    result: list[Any] = []
    for name, transformer in step.transformer_list:
        if isinstance(transformer, str) and transformer == "drop":
            continue
        part = compiler.transform(transformer, columns)
        weight = (step.transformer_weights or {}).get(name)
        result += part if weight is None else _weighted(compiler, step, part, weight)
    return tuple(result)


def _weighted(compiler: Compiler, step: Any, columns: Columns, weight: float) -> Columns:
    if not columns:
        return columns
    graph = compiler.graph
    product = graph.node("Mul", graph.numeric_tensor(columns, step), graph.constant(float(weight)))
    weighted = graph.tensor_columns(product, len(columns))
    return tuple(
        replace(old, tensor=new.tensor, index=new.index, origin=None)
        for old, new in zip(columns, weighted, strict=True)
    )


def feature_selection(_: Compiler, step: Any, columns: Columns) -> Columns:
    """Keep the columns that a fitted selector supports."""
    return tuple(columns[i] for i in np.flatnonzero(step.get_support()))


def transformed_target(compiler: Compiler, step: Any, columns: Columns) -> str:
    """Append a regressor and the inverse transformation of its target."""
    graph, inverse = compiler.graph, step.transformer_
    value = compiler.regress(step.regressor_, columns)
    kind = type(inverse).__name__
    if kind == "FunctionTransformer":
        if inverse.validate:
            compiler.reject_non_finite(value)
        return apply_function(graph, value, inverse.inverse_func, "TransformedTargetRegressor")
    if kind == "StandardScaler":
        if inverse.with_std:
            value = graph.node("Mul", value, graph.constant(inverse.scale_))
        return (
            graph.node("Add", value, graph.constant(inverse.mean_)) if inverse.with_mean else value
        )
    raise UnsupportedError(f"TransformedTargetRegressor: the inverse of {kind} is not converted")
