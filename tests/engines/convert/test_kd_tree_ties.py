from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.neighbors import KNeighborsClassifier, KNeighborsRegressor
from tests.support.budget import IS_CI


@pytest.fixture(scope="module")
def grid() -> Any:
    """Return 200 rows on a grid of whole numbers, where most distances are tied."""
    draw = np.random.default_rng(0)
    rows = pd.DataFrame(draw.integers(0, 6, (200, 3)).astype(float), columns=list("abc"))
    return rows, np.arange(200)


@pytest.mark.parametrize("k", [1, 2, 3, 4, 5, 8, 17] if IS_CI else [1, 4, 17])
@pytest.mark.parametrize("options", [{}, {"p": 1}, {"leaf_size": 2}, {"leaf_size": 500}], ids=repr)
def test_the_rows_that_the_search_keeps(
    k: Any, options: Any, grid: Any, convert_exactly: Any
) -> None:
    # Every row has a target of its own, so another neighbour is another answer.
    convert_exactly(KNeighborsRegressor(k, **options), grid)


@pytest.mark.parametrize("seed", range(3 if IS_CI else 1))
def test_classes(seed: Any, iris: Any, convert_exactly: Any) -> None:
    convert_exactly(KNeighborsClassifier(), iris, seed=seed)


def test_all_rows_are_neighbours(grid: Any, convert_exactly: Any) -> None:
    convert_exactly(KNeighborsRegressor(200, algorithm="kd_tree"), grid)


def test_ties_by_position_are_caught(
    grid: Any, native_reason: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def by_position(graph: Any, distances: Any, parts: Any, model: Any, power: Any) -> Any:
        k = graph.constant([model.n_neighbors])
        return tuple(graph.multi_output_node("TopK", [distances, k], 2, axis=1, largest=0))

    monkeypatch.setattr("windlass.engines.convert.estimators.neighbors.k_smallest", by_position)
    assert "rows moved" in native_reason(KNeighborsRegressor(), grid)
