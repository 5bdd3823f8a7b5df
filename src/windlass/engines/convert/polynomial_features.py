"""Converter of PolynomialFeatures: every product multiplied in scikit-learn's order."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from windlass.engines.convert.compiler import Compiler
    from windlass.engines.convert.graph import Columns

Term = tuple[int, ...]  # the features of one product


def polynomial_features(compiler: Compiler, step: Any, columns: Columns) -> Columns:
    """Append the products of up to ``degree`` columns, three nodes for each degree."""
    graph = compiler.graph
    smallest, largest = step._min_degree, step._max_degree  # noqa: SLF001 - they have no public name
    rows = graph.numeric_tensor(columns, step)
    result: Columns = ()
    if step.include_bias:
        result += graph.tensor_columns(graph.full(1.0, rows), 1)
    terms: list[Term] = [(feature,) for feature in range(len(columns))]
    products = rows
    for degree in range(1, largest + 1):
        if degree > 1:
            factors = _factors(terms, len(columns), interaction_only=step.interaction_only)
            if not factors:
                break
            features, previous = zip(*factors, strict=True)
            products = graph.node(
                "Mul", graph.gather(products, previous), graph.gather(rows, features)
            )
            terms = [(feature, *terms[at]) for feature, at in factors]
        if degree >= smallest:
            result += columns if degree == 1 else graph.tensor_columns(products, len(terms))
    return result


def _factors(terms: list[Term], features: int, *, interaction_only: bool) -> list[tuple[int, int]]:
    """Return the next degree's terms: the new first feature, and the position of the rest in ``terms``."""
    return [
        (feature, at)
        for feature in range(features)
        for at, term in enumerate(terms)
        if term[0] > feature or (term[0] == feature and not interaction_only)
    ]
