"""Converter of a booster with encoded text: its codes, and the outputs that the libraries have in common."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from windlass.engines.convert.estimators.encoding import category_codes
from windlass.engines.convert.estimators.functions import expit
from windlass.engines.convert.types import UnsupportedError

if TYPE_CHECKING:
    from windlass.engines.convert.compiler import Compiler
    from windlass.engines.convert.graph import Columns, Graph

IDENTITY, EXPONENTIAL, LOGISTIC = "identity", "exponential", "logistic"


def encoded_booster(compiler: Compiler, model: Any, columns: Columns) -> tuple[Any, Columns]:
    """Append the codes of the text columns; return the fitted booster and its columns."""
    name = type(model.booster_).__name__
    if model.sparse_:
        raise UnsupportedError(f"{name}: a sparse matrix reaches it")
    if model.categories_ and model.library == "catboost":
        raise UnsupportedError(f"{name}: its statistics of categories are not converted")
    result = list(columns)
    for text in (False, True):
        group = [i for i in sorted(model.categories_) if columns[i].text is text]
        if not group:
            continue
        values = [model.categories_[i] for i in group]
        codes = category_codes(compiler, tuple(columns[i] for i in group), values)
        for i, column in zip(group, codes, strict=True):
            result[i] = column
    return model.booster_, tuple(result)


def require_codes(name: str, columns: Columns, features: set[int]) -> None:
    """Raise UnsupportedError for a split by categories of a column that the booster's user has encoded."""
    if any(columns[feature].origin is not None for feature in features):
        raise UnsupportedError(f"{name}: its categories are numbers of the row")


def inverse(graph: Graph, value: str, link_function: str) -> str:
    """Append the inverse of a link: of what the trees' sum, float64 [N, 1], stands for."""
    if link_function == LOGISTIC:
        return expit(graph, value)
    return graph.node("Exp", value) if link_function == EXPONENTIAL else value


def as_float64(graph: Graph, name: str) -> str:
    """Append a cast to float64."""
    return graph.node("Cast", name, to=11)  # 11: double


def as_float32(graph: Graph, name: str) -> str:
    """Append a cast to float32."""
    return graph.node("Cast", name, to=1)  # 1: float


def next_below(thresholds: Any) -> Any:
    """Return float32 t' such that ``x <= t'`` exactly where ``x < t``, for every float32 x."""
    return np.nextafter(np.asarray(thresholds, np.float32), np.float32(-np.inf))
