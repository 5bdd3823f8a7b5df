"""Every estimator of scikit-learn: a compiled model rejects the rows that it rejects, and predicts the others alike."""

import warnings
from functools import cache
from typing import Any

import numpy as np
import pandas as pd
import pytest
from tests.support.budget import IS_CI
from tests.support.estimators import TEXT, Case, cases

from windlass.core.batch import Batch, Prediction
from windlass.core.bundle import BundleSchema
from windlass.core.row_schema import ColumnKind, ColumnSchema, RowSchema
from windlass.core.targets.target import TargetRecord
from windlass.engines.convert import FittedEstimator, convert
from windlass.engines.native import NativeEngine
from windlass.engines.onnx import OnnxEngine

PARTS = 30  # of the sweep; outside CI one of them is tried
NUMBERS = [0.0, -0.0, 5e-324, 3.4028235e38, 3.4028236e38, 1e39, -1e39, 1e300, -1e300, np.nan]
FACTORS = [7.0, 1e4, 1e9, -1e6]


@cache
def all_cases() -> list[Case]:
    return list(cases())


@pytest.mark.parametrize("part", range(PARTS) if IS_CI else [3])
@pytest.mark.filterwarnings("ignore")
def test_compiled_models_have_the_outcomes_of_their_pipelines(part: int) -> None:
    assert len(all_cases()) > 200
    differences = {case.name: _differences(case) for case in all_cases()[part::PARTS]}
    assert {name: rows for name, rows in differences.items() if rows} == {}
    assert sum(rows is not None for rows in differences.values()) > len(differences) / 2


def _differences(case: Case) -> list[dict[str, Any]] | None:
    """Rows for which the compiled model and the pipeline have another outcome; none where it cannot be compiled.

    Returns None for an estimator that needs another kind of table, or is no step of a pipeline.
    """
    try:
        with warnings.catch_warnings():
            estimator = case.pipeline.fit(case.rows, case.target)
    except (ValueError, TypeError, AttributeError):
        return None
    classes = tuple(np.unique(case.target).tolist()) if hasattr(estimator, "classes_") else None
    text = frozenset(name for name in TEXT if name in case.rows)
    fitted = FittedEstimator(estimator, tuple(map(str, case.rows)), text, classes)
    compiled = convert(fitted, case.rows, seed=1, probe_rows=100).model
    if compiled is None:
        return []
    rows = _hard_rows(case)
    batch = _batch(rows, text)
    expected = NativeEngine(estimator, _schema(case, classes)).predict(batch)
    differs = _differs(expected, OnnxEngine(compiled).predict(batch))
    records: list[Any] = rows[differs].to_dict("records")
    return records


def _differs(expected: Prediction, actual: Prediction) -> Any:
    """Which rows [n] have another outcome."""
    finite = expected.finite_rows()
    differs = finite != actual.finite_rows()
    if expected.values is None:
        differs |= finite & (expected.labels != actual.labels)
    numbers: list[Any] = [
        each.probabilities if each.values is None else each.values[:, np.newaxis]
        for each in (expected, actual)
    ]
    close = np.isclose(numbers[1], numbers[0], rtol=1e-6, atol=1e-6).all(axis=1)
    return differs | (finite & ~close)


def _hard_rows(case: Case) -> pd.DataFrame:
    """Training rows, rows far from them or of nothing but zeros, and rows with one special cell."""
    draw, rows = np.random.default_rng(5), case.rows
    numeric: list[Any] = [name for name in rows if name not in TEXT]
    parts = [rows.sample(20, random_state=0)]
    for factor in [0.0, -0.0, *FACTORS]:
        far = rows.sample(3, random_state=1)
        far[numeric] = far[numeric] * factor
        parts.append(far)
    for name in rows:
        cells = (
            ["red", "b", "violet", np.nan] if name in TEXT else NUMBERS + rows[name][:5].tolist()
        )
        special = rows.iloc[draw.integers(len(rows), size=len(cells))].copy()
        special[name] = pd.Series(cells, special.index, rows[name].dtype)
        parts.append(special)
    return pd.concat(parts, ignore_index=True)


def _batch(rows: pd.DataFrame, text: frozenset[str]) -> Batch:
    words = rows[[name for name in rows if name in text]].astype(object)
    numbers = rows[[name for name in rows if name not in text]].to_numpy(np.float64)
    return Batch(np.ascontiguousarray(numbers), words.where(words.notna(), "").to_numpy(object))


def _schema(case: Case, classes: tuple[Any, ...] | None) -> BundleSchema:
    kinds = {
        str(name): ColumnKind.CATEGORY if name in TEXT else ColumnKind.NUMBER for name in case.rows
    }
    columns = [ColumnSchema(name=name, kind=kind, nullable=True) for name, kind in kinds.items()]
    row = RowSchema.from_columns("Row", *columns)
    return BundleSchema(row=row, target=TargetRecord(name="y", classes=classes))
