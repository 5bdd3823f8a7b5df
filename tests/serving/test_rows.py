"""Properties of row validation: any valid row is answered; a row with one invalid field is rejected by that field."""

from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given
from hypothesis import strategies as st
from tests.support.budget import examples
from tests.support.server import Server
from tests.support.trained_bundles import BundleOf

from windlass.core.bundle import Bundle
from windlass.core.row_schema import (
    MAX_CATEGORY_LENGTH,
    MAX_INTEGER,
    ColumnKind,
    ColumnSchema,
    RowSchema,
)

Strategy = st.SearchStrategy[Any]
PROPERTY = examples(150, suppress_health_check=[HealthCheck.function_scoped_fixture])
JUNK = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False, allow_infinity=False), st.text(),
    st.lists(st.integers(), max_size=2), st.dictionaries(st.text(max_size=3), st.integers(), max_size=2),
)  # fmt: skip
TEXT = st.characters(exclude_categories=["Cs"])


def valid(column: ColumnSchema) -> Strategy:
    """Every value that the column takes, as JSON."""
    bounds = dict(column.bounds())
    match column.kind:
        case ColumnKind.NUMBER:
            inner: Strategy = st.floats(
                bounds.get("ge"), bounds.get("le"), allow_nan=False, allow_infinity=False
            )
            inner |= st.integers(int(bounds.get("ge", -1e9)) + 1, int(bounds.get("le", 1e9)))
        case ColumnKind.INTEGER:
            least, most = bounds.get("ge", -MAX_INTEGER), bounds.get("le", MAX_INTEGER)
            inner = st.integers(int(least), int(most))
        case ColumnKind.BOOLEAN:
            inner = st.booleans()
        case ColumnKind.DATE:
            inner = st.dates(bounds.get("ge", date.min), bounds.get("le", date.max)).map(str)
        case ColumnKind.CATEGORY if column.categories is not None:
            inner = st.sampled_from(column.categories)
        case _:
            inner = st.text(TEXT, min_size=1, max_size=MAX_CATEGORY_LENGTH)
    return inner | st.none() if column.nullable else inner


def fits(column: ColumnSchema, value: Any) -> bool:
    """Whether the column takes this JSON value: the rules once more, written plainly."""
    if value is None:
        return column.nullable
    match column.kind:
        case ColumnKind.NUMBER:
            right = isinstance(value, int | float) and not isinstance(value, bool)
        case ColumnKind.INTEGER:
            right = isinstance(value, int | float) and not isinstance(value, bool)
            right = right and value == int(value) and abs(value) <= MAX_INTEGER
        case ColumnKind.BOOLEAN:
            return isinstance(value, bool)
        case ColumnKind.DATE:
            return isinstance(value, str) and _is_date(column, value)
        case _:
            if not isinstance(value, str):
                return False
            return value in column.categories if column.categories else 0 < len(value) <= 256
    return right and all(
        value >= limit if keyword == "ge" else value <= limit for keyword, limit in column.bounds()
    )


def _is_date(column: ColumnSchema, value: str) -> bool:
    try:
        day = date.fromisoformat(value) if len(value) == 10 else None
    except ValueError:
        return False
    return day is not None and day >= dict(column.bounds()).get("ge", date.min)


def rows(schema: RowSchema) -> Strategy:
    """Valid rows; a field that need not be there is there or not."""
    required = {column.name: valid(column) for column in schema.columns if column.required}
    optional = {column.name: valid(column) for column in schema.columns if not column.required}
    return st.fixed_dictionaries(required, optional=optional)


@st.composite
def broken(draw: st.DrawFn, schema: RowSchema) -> tuple[dict[str, Any], str]:
    """A row and the one field of it that is wrong: missing, unknown, or of a value it does not take."""
    row = draw(rows(schema))
    column = draw(st.sampled_from(schema.columns))
    fault = draw(st.sampled_from(["missing", "unknown", "value", "beyond"]))
    if fault == "unknown":
        name = draw(
            st.text(TEXT, min_size=1, max_size=20).filter(lambda name: name not in schema.names)
        )
        return row | {name: draw(JUNK)}, ""  # its name is not sent back
    if fault == "missing" and column.required:
        return {name: value for name, value in row.items() if name != column.name}, column.name
    values = JUNK
    if fault == "beyond" and column.kind is ColumnKind.NUMBER:
        values = st.floats(max_value=-0.001, allow_infinity=False) | st.just("1")
    if fault == "beyond" and column.kind is ColumnKind.DATE:
        values = st.integers(1, 30_000).map(
            lambda days: str(date(1949, 12, 31) - timedelta(days % 9999))
        )
    value = draw(values.filter(lambda value: not fits(column, value)))
    return row | {column.name: value}, column.name


@pytest.fixture(scope="module")
def flower(iris: Path) -> RowSchema:
    return Bundle.open(iris).schema.row


@pytest.fixture(scope="module")
def loan(bundle_of: BundleOf) -> RowSchema:
    return Bundle.open(bundle_of("mixed")).schema.row


@pytest.mark.parametrize(("row", "home"), [("flower", "iris_server"), ("loan", "mixed_server")])
def test_any_valid_row_is_answered(request: pytest.FixtureRequest, row: str, home: str) -> None:
    schema: RowSchema = request.getfixturevalue(row)
    server: Server = request.getfixturevalue(home)

    @PROPERTY
    @given(row=rows(schema))
    def check(row: dict[str, Any]) -> None:
        answer = server.client.post("/predict", json=row)
        assert answer.status_code == 200, answer.text
        shares = answer.json()["class_probabilities"]
        assert abs(sum(shares.values()) - 1) < 1e-9
        assert all(0 <= share <= 1 for share in shares.values())

    check()


@pytest.mark.parametrize(("row", "home"), [("flower", "iris_server"), ("loan", "mixed_server")])
def test_any_broken_row_is_refused(request: pytest.FixtureRequest, row: str, home: str) -> None:
    schema: RowSchema = request.getfixturevalue(row)
    server: Server = request.getfixturevalue(home)

    @PROPERTY
    @given(case=broken(schema))
    def check(case: tuple[dict[str, Any], str]) -> None:
        row, name = case
        answer = server.client.post("/predict", json=row)
        assert answer.status_code == 422, answer.text
        locations = [fault["loc"] for fault in answer.json()["errors"]]
        assert locations == [[name] if name else []]

    check()


@pytest.mark.parametrize(("row", "home"), [("flower", "iris_server"), ("loan", "mixed_server")])
def test_a_batch_is_answered_row_by_row(
    request: pytest.FixtureRequest, row: str, home: str
) -> None:
    schema: RowSchema = request.getfixturevalue(row)
    server: Server = request.getfixturevalue(home)

    @examples(30, suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(batch=st.lists(rows(schema), min_size=1, max_size=5))
    def check(batch: list[dict[str, Any]]) -> None:
        together = server.client.post("/predict_batch", json=batch).json()
        for index, values in enumerate(batch):
            alone = server.client.post("/predict", json=values).json()
            assert together["predictions"][index] == alone["prediction"]
            shares = together["class_probabilities"][index]
            assert shares == pytest.approx(alone["class_probabilities"], abs=1e-12)

    check()
