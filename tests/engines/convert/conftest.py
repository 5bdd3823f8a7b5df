"""Data to fit on, and fixtures that fit, convert and check the result."""

import warnings
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import onnxruntime
import pandas as pd
import pytest
from sklearn.datasets import load_breast_cancer, load_diabetes, load_iris
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]  # ships no types

from windlass.engines.convert import ColumnDomain, Conversion, FittedEstimator, convert
from windlass.engines.convert.compile import compile_model
from windlass.engines.convert.equivalence import model_inputs

Table = tuple[pd.DataFrame, Any]
NUMBERS = ["age", "income", "member", "since"]
WORDS = ["colour", "job"]
PROBE_ROWS = 1000  # compared in a test beside the training rows; in production 5,000


def fit(
    estimator: Any, table: Table, classes: tuple[Any, ...] | None = None, *, limit: float = 1e9
) -> FittedEstimator:
    rows, target = table
    estimator.fit(rows, target)
    if classes is None and hasattr(estimator, "classes_"):
        classes = tuple(estimator.classes_.tolist())
    text = frozenset(name for name in rows if name in WORDS)
    # as a project would declare them; in the sweep of all estimators any number and null is valid
    domains = {
        str(name): ColumnDomain(-limit, limit, nullable=bool(rows[name].isna().any()))
        for name in rows
    }
    return FittedEstimator(estimator, tuple(rows.columns), text, classes, domains)


def session(model: bytes) -> Any:
    return onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])


@pytest.fixture(scope="session", autouse=True)
def _one_thread() -> Iterator[None]:
    # Small data: more threads only wait for each other.
    with threadpool_limits(1):
        yield


@pytest.fixture(scope="session")
def convert_exactly() -> Callable[..., Conversion]:
    """Fit, convert, and fail unless the model is ONNX and equal."""

    def convert_and_check(
        estimator: Any,
        table: Table,
        classes: tuple[Any, ...] | None = None,
        seed: int = 0,
        limit: float = 1e9,
    ) -> Conversion:
        fitted = fit(estimator, table, classes, limit=limit)
        conversion = convert(fitted, table[0], seed=seed, probe_rows=PROBE_ROWS)
        report = conversion.report
        assert report.engine == "onnx", report.reason
        assert conversion.model is not None
        assert report.rows >= len(table[0]) + PROBE_ROWS
        assert report.max_difference <= report.tolerance == 1e-6
        assert report.labels_changed == 0
        return conversion

    return convert_and_check


@pytest.fixture(scope="session")
def native_reason() -> Callable[..., str]:
    """Fit, convert, and return the reason why the estimator stays native."""

    def convert_and_explain(estimator: Any, table: Table, limit: float = 1e9) -> str:
        conversion = convert(
            fit(estimator, table, limit=limit), table[0], seed=0, probe_rows=PROBE_ROWS
        )
        assert conversion.model is None
        assert conversion.report.engine == "native"
        assert conversion.report.reason
        assert "\n" not in conversion.report.reason
        return conversion.report.reason

    return convert_and_explain


@pytest.fixture(scope="session")
def compare_rows() -> Callable[..., int]:
    """Fit, compile, and fail unless both give each row the same outcome; rejections are outcomes.

    Returns how many of the rows are rejected.
    """

    def compare(estimator: Any, table: Table, rows: pd.DataFrame, limit: float = 1e9) -> int:
        fitted = fit(estimator, table, limit=limit)
        run = session(compile_model(fitted).model).run
        expected = _predictions(fitted, rows)
        for at, want in enumerate(expected):
            row = rows.iloc[[at]]
            *label, values = run(None, model_inputs(fitted, row))
            assert np.isfinite(values).all() == (want is not None), row
            if want is not None:
                np.testing.assert_allclose(values[0], want[-1], 1e-6, 1e-6, err_msg=str(row))
                assert [*label] == [*want[:-1]], row
        return expected.count(None)

    return compare


def _predictions(fitted: FittedEstimator, rows: pd.DataFrame) -> list[tuple[Any, ...] | None]:
    """Return (position of the label, probabilities) or (value,) of each row; None for a rejected one."""
    model = fitted.estimator
    try:
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")  # overflow is intended
            predicted = model.predict(rows)
            values = predicted if fitted.classes is None else model.predict_proba(rows)
    except (ValueError, IndexError):
        if len(rows) == 1:
            return [None]
        middle = len(rows) // 2
        halves = rows.iloc[:middle], rows.iloc[middle:]
        return [outcome for half in halves for outcome in _predictions(fitted, half)]
    columns = [values]
    if fitted.classes is not None:
        columns.insert(0, [fitted.classes.index(name) for name in predicted])
    outcomes = zip(*columns, strict=True)
    return [outcome if np.isfinite(outcome[-1]).all() else None for outcome in outcomes]


def _read(load: Callable[..., Any]) -> Table:
    data = load(as_frame=True)
    return data.data.astype(float), data.target


@pytest.fixture(scope="session")
def iris() -> Table:
    return _read(load_iris)


@pytest.fixture(scope="session")
def cancer() -> Table:
    return _read(load_breast_cancer)


@pytest.fixture(scope="session")
def diabetes() -> Table:
    return _read(load_diabetes)


@pytest.fixture(scope="session")
def mixed() -> Table:
    """Return 500 rows: numbers with gaps, a flag, a date in days, two columns of categories."""
    draw, size = np.random.default_rng(0), 500
    rows = pd.DataFrame(
        {
            "age": draw.normal(40, 12, size).round(),
            "colour": draw.choice(["red", "green", "blue", "Zoë"], size),
            "income": draw.lognormal(10, 1, size),
            "member": draw.integers(0, 2, size).astype(float),
            "job": draw.choice(
                ["a", "b", "c", "d", "rare", "odd"], size, p=[0.4, 0.3, 0.2, 0.08, 0.01, 0.01]
            ),
            "since": draw.integers(15000, 20000, size).astype(float),
        }
    )
    noise = (draw.random(size) < 0.2).astype(int)
    target = ((rows.age > 40).astype(int) + (rows.colour == "red") + noise).clip(0, 2)
    for name in ("age", "income", *WORDS):
        rows.loc[draw.random(size) < 0.1, name] = np.nan
    rows["colour"] = rows.colour.astype("str")
    rows["job"] = rows.job.astype(object)
    return rows, target.to_numpy()
