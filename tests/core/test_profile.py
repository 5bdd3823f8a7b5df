import numpy as np
import pytest

from windlass.core.batch import Batch, Prediction
from windlass.core.profile import CategoryProfile, NumericProfile, Profile, profile_rows
from windlass.core.row_schema import ColumnKind, ColumnSchema, RowSchema
from windlass.core.targets.classes import Classes
from windlass.core.targets.quantity import Quantity

NAN = float("nan")


def test_bins_of_a_column_hold_a_tenth_each() -> None:
    result = NumericProfile.from_values("x", np.arange(1000.0))
    assert result.counts == (100,) * 10
    assert result.missing == 0
    assert result.mean == pytest.approx(499.5)
    assert result.std == pytest.approx(np.arange(1000).std())
    assert dict(result.quantiles)[0.5] == pytest.approx(499.5)
    assert (result.quantiles[0], result.quantiles[-1]) == ((0.0, 0.0), (1.0, 999.0))


def test_other_values_fall_into_the_same_bins_and_upper_edges_belong() -> None:
    result = NumericProfile.from_values("x", np.array([0.0, 0.0, 1.0, 1.0]))
    assert result.edges == (0.0, 1.0)
    assert result.counts == (2, 2, 0)
    assert result.histogram(np.array([-5.0, 0.0, 0.5, 1.0, 9.0, NAN])) == (2, 2, 1)


def test_missing_values_are_a_share_and_in_no_bin() -> None:
    result = NumericProfile.from_values("x", np.array([1.0, NAN, 3.0, NAN]))
    assert result.missing == 0.5
    assert sum(result.counts) == 2
    empty = NumericProfile.from_values("x", np.array([NAN, NAN]))
    assert (empty.missing, empty.mean, empty.edges, empty.counts) == (1.0, None, (), (0,))


def test_categories_are_counted_declared_ones_always() -> None:
    result = CategoryProfile.from_values("c", ["a", "b", "a", ""], ["a", "b", "z"])
    assert result.counts == {"a": 2, "b": 1, "z": 0}
    assert (result.other, result.missing) == (0, 0.25)
    assert result.histogram(["z", "new", "", "a"]) == ({"a": 1, "b": 0, "z": 1}, 1)


def test_of_an_open_set_the_most_common_are_counted_by_name() -> None:
    values = [f"c{i:03}" for i in range(150)] + ["c149"]
    result = CategoryProfile.from_values("c", values)
    assert len(result.counts) == 100
    assert next(iter(result.counts.items())) == ("c149", 2)
    assert result.other == 50


def test_a_profile_survives_json() -> None:
    schema = RowSchema.from_columns(
        "R",
        ColumnSchema(name="c", kind=ColumnKind.CATEGORY),
        ColumnSchema(name="x", kind=ColumnKind.NUMBER),
    )
    batch = Batch(np.array([[1.0], [NAN]]), np.array([["a"], [""]], object))
    shares = np.array([[0.2, 0.8], [0.6, 0.4]])
    result = profile_rows(
        schema, Classes("y", [False, True]), batch, Prediction(np.array([1, 0]), shares)
    )
    assert [column.name for column in result.columns] == ["c", "x"]
    assert result.classes is not None
    assert result.classes.counts == {"false": 1, "true": 1}
    assert result.confidence is not None
    assert result.confidence.mean == pytest.approx(0.7)
    assert Profile.model_validate_json(result.model_dump_json()) == result
    values = profile_rows(schema, Quantity("y"), batch, Prediction(values=np.array([1.0, 2.0])))
    assert values.classes is None
    assert values.value is not None
    assert values.value.mean == 1.5


@pytest.mark.parametrize("categories", [3, 150, 1000])
def test_all_categories_are_named_while_they_are_few(categories: int) -> None:
    names = [f"c{i:04}" for i in range(categories)]
    result = CategoryProfile.from_values("c", ["", *names, *names])
    assert CategoryProfile.model_validate_json(result.model_dump_json()).seen == frozenset(names)


def test_of_many_categories_those_that_were_seen_are_unknown() -> None:
    result = CategoryProfile.from_values("c", [f"c{i:04}" for i in range(1001)])
    assert (result.other, result.other_names, result.seen) == (901, (), None)
    assert CategoryProfile.from_values("c", ["", ""]).seen == frozenset()
