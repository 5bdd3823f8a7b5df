"""Classes or a quantity is inferred from the target, and a gate above what a model without a signal reaches."""

from pathlib import Path

import pytest
from tests.support.source_columns import source_column

from windlass.core.csv_format import CsvFormat
from windlass.errors import DataError
from windlass.scaffold.source_table import SourceTable
from windlass.scaffold.target_inference import TargetProfile, infer_target


def target_of(texts: list[str], stored_as: str | None = None) -> TargetProfile:
    column = source_column(texts, "y", stored_as)
    table = SourceTable(Path("t.csv"), "csv", len(texts), (column,))
    return infer_target(table, column, CsvFormat())


@pytest.mark.parametrize(
    ("texts", "labels"),
    [
        (["Yes", "No", "No"], ("No", "Yes")),
        (["1", "0", "0"], (0, 1)),
        (["True", "False"], ("False", "True")),
        (["good", "bad", "good"], ("good", "bad")),
        (["b", "a", "c"], ("a", "b", "c")),
        (["3", "1", "2"], (1, 2, 3)),
        (["1", "2"], (1, 2)),
        (["1.0", "0.0", ""], (0, 1)),
    ],
)
def test_classes(texts: list[str], labels: tuple[object, ...]) -> None:
    assert target_of(texts * 20).labels == labels


@pytest.mark.parametrize(
    "texts",
    [
        [f"{number / 7:.3f}" for number in range(100)],
        [str(number) for number in range(100)],
        ["1.5", "2.5", "3.5"] * 20,
    ],
)
def test_quantities(texts: list[str]) -> None:
    target = target_of(texts)
    assert (target.labels, target.gate_metric) == (None, "r2")
    assert 0 < target.gate_limit < 0.2


def test_rows_without_a_target_are_counted() -> None:
    target = target_of(["a", "b", "", "NA"] * 20)
    assert (target.rows, target.missing_rows, target.drops_rows) == (40, 40, True)


def test_rare_classes_are_left_out() -> None:
    target = target_of(["a", "b"] * 20 + ["c"] * 3)
    assert (target.labels, target.rare, target.rows) == (("a", "b"), (("c", 3),), 40)


@pytest.mark.parametrize(
    ("texts", "metric", "above"),
    [
        (["a", "b"] * 50, "accuracy", 0.5),
        (["a"] * 60 + ["b"] * 40, "accuracy", 0.6),
        (["a"] * 900 + ["b"] * 100, "roc_auc", 0.5),
        (["a"] * 900 + ["b"] * 50 + ["c"] * 50, "macro_f1", 2 * 0.9 / 1.9 / 3),
        (["a", "b", "c"] * 500, "accuracy", 1 / 3),
    ],
)
def test_gates_are_above_the_baseline_and_can_be_reached(
    texts: list[str], metric: str, above: float
) -> None:
    target = target_of(texts)
    assert target.gate_metric == metric
    assert above < target.gate_limit <= (1 + above) / 2 + 0.01


def test_many_rows_need_less_than_few() -> None:
    few, many = target_of(["a", "b"] * 25), target_of(["a", "b"] * 5000)
    assert few.gate_limit > many.gate_limit
    assert (few.compares, many.compares) == (False, True)


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        (["", "NA"], "is missing"),
        (["a", "a", ""], "the same in all rows .* 'a'"),
        (["2024-01-01", "2024-01-02"], "holds dates"),
        ([f"text {number}" for number in range(100)], "100 different texts in 100 rows: too many"),
        (["a"] * 50 + ["b"] * 3, "1 class with 10 rows or more"),
    ],
)
def test_what_cannot_be_predicted_is_refused(texts: list[str], message: str) -> None:
    with pytest.raises(DataError, match=message):
        target_of(texts)


def test_few_whole_numbers_are_classes_and_doubtful() -> None:
    target = target_of([str(number % 6 + 3) for number in range(100)])
    assert target.labels == (3, 4, 5, 6, 7, 8)
    assert "use Quantity" in target.doubts[0]
