"""Inputs, ids, groups, leaks and missing texts are inferred from a whole table."""

from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tests.support.source_columns import table_of, write_csv

from windlass.errors import DataError
from windlass.scaffold.table_inference import TableProfile

ROWS = 60


def infer(folder: Path, target: str = "y", /, **given: Sequence[object]) -> TableProfile:
    columns: dict[str, Sequence[object]] = {"x": [(7 * row) % 11 + 0.5 for row in range(ROWS)]}
    columns |= given
    columns.setdefault("y", ["no", "yes", "no"] * (ROWS // 3))
    lines = [",".join(map(str, cells)) for cells in zip(*columns.values(), strict=True)]
    text = "\n".join([",".join(columns), *lines, ""])
    return table_of(write_csv(folder, text), target)


def left_out(profile: TableProfile, name: str) -> str:
    return next(column.left_out or "" for column in profile.columns if column.name == name)


def numbers(start: int, step: int = 1) -> list[object]:
    return [start + step * row for row in range(ROWS)]


def test_inputs_are_all_other_columns(tmp_path: Path) -> None:
    profile = infer(tmp_path, z=["a", "b"] * (ROWS // 2))
    assert [column.name for column in profile.inputs] == ["x", "z"]


@pytest.mark.parametrize(
    ("name", "cells", "reason"),
    [
        ("customerID", [f"C-{row}" for row in range(ROWS)], "an id"),
        ("customer_id", numbers(1000, 7), "an id"),
        ("passengerid", numbers(1000, 7), "an id"),
        ("anything", numbers(0), "counts the rows"),
        ("", [f"row {row}" for row in range(ROWS)], "an index without a name"),
        ("Unnamed: 0", numbers(1), "an index without a name"),
        ("code", [f"A{row}B" for row in range(ROWS)], "an id"),
        ("userId", [row // 2 * 13 for row in range(ROWS)], "an id: 30 of them in 60 rows"),
    ],
)
def test_ids_are_left_out(tmp_path: Path, name: str, cells: list[object], reason: str) -> None:
    assert reason in left_out(infer(tmp_path, **{name: cells}), name)


@pytest.mark.parametrize(
    ("name", "cells"),
    [
        ("income", numbers(1000, 137)),
        ("paid", [row % 2 for row in range(ROWS)]),
        ("width", [row / 7 for row in range(ROWS)]),
        ("day", [f"2024-{row // 28 + 1:02d}-{row % 28 + 1:02d}" for row in range(ROWS)]),
    ],
)
def test_other_columns_with_different_values_are_inputs(
    tmp_path: Path, name: str, cells: list[object]
) -> None:
    assert left_out(infer(tmp_path, **{name: cells}), name) == ""


def test_an_id_that_repeats_is_the_group(tmp_path: Path) -> None:
    assert infer(tmp_path, userId=[row // 2 * 13 for row in range(ROWS)]).group == "userId"
    assert infer(tmp_path, userId=numbers(100, 3)).group is None


@pytest.mark.parametrize(
    ("target", "copy"),
    [
        (["no", "yes", "no"], [0, 1, 0]),
        (["no", "yes", "no"], ["left", "stays", "left"]),
        ([1.25, 2.5, 7.5], [12.5, 25, 75]),
    ],
)
def test_a_column_that_says_the_same_as_the_target_is_a_leak(
    tmp_path: Path, target: list[object], copy: list[object]
) -> None:
    copies = [str(value) for value in copy] * (ROWS // 3)
    profile = infer(tmp_path, y=target * (ROWS // 3), z=list(copies))
    assert "a leak" in left_out(profile, "z")
    copies[5] = copies[4]
    assert left_out(infer(tmp_path, y=target * (ROWS // 3), z=list(copies)), "z") == ""


def test_missing_texts_hold_in_the_whole_table(tmp_path: Path) -> None:
    z: list[object] = [*range(0, 3 * ROWS - 3, 3), "none"]
    words = [f"w{row % 24}" for row in range(ROWS - 3)] + ["once", "none", "none"]
    profile = infer(tmp_path, z=z, words=words)
    assert profile.missing == ("none",)
    column = next(column for column in profile.inputs if column.name == "words")
    assert (column.missing_rows, column.is_nullable) == (2, True)
    assert "'none' counts as missing here too" in column.doubts[0]


@pytest.mark.parametrize(("target", "near"), [("Y", "y"), (" y ", "y"), ("xy", None)])
def test_an_unknown_target_is_refused(tmp_path: Path, target: str, near: str | None) -> None:
    with pytest.raises(DataError, match=r"no column .* There are: 'x', 'y'") as error:
        infer(tmp_path, target)
    assert ("Did you mean 'y'" in str(error.value)) or near is None


def test_a_table_without_rows_or_inputs_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no rows"):
        table_of(write_csv(tmp_path, "x,y\n"))
    rows = "\n".join(f"{3 * row},{'ab'[row % 2]}" for row in range(ROWS))
    with pytest.raises(DataError, match=r"no column to predict 'y' from. 'id': an id"):
        table_of(write_csv(tmp_path, f"id,y\n{rows}\n"))


def test_formats_of_europe(tmp_path: Path) -> None:
    lines = [
        f"{row % 7},{row % 10};Köln {row % 3};{'ja' if row % 3 else 'nein'}" for row in range(ROWS)
    ]
    text = "\n".join(["Größe (m);Ort;y", *lines, ""])
    profile = table_of(write_csv(tmp_path, text, "cp1252"))
    assert (profile.csv.delimiter, profile.csv.decimal, profile.csv.encoding) == (
        ";",
        ",",
        "cp1252",
    )
    size, city = profile.inputs
    assert (size.name, size.unit, size.low, size.high) == ("Größe (m)", "m", 0.0, 6.8)
    assert city.categories == ("Köln 0", "Köln 1", "Köln 2")


def test_parquet_lists_empty_texts_as_missing_and_leaves_lists_out(tmp_path: Path) -> None:
    table = pa.table(
        {
            "x": ["a", "b", ""] * 20,
            "l": [[1.0]] * 60,
            "y": ["no", "yes", "no"] * 20,
        }
    )
    pq.write_table(table, tmp_path / "table.parquet")
    profile = table_of(tmp_path / "table.parquet")
    assert profile.missing == ("",)
    assert "a row has no type" in left_out(profile, "l")
