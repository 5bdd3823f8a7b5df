from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from tests.support.points_project import Point

from windlass.core.csv_format import CsvFormat
from windlass.core.project import Project
from windlass.core.targets.classes import Classes
from windlass.core.targets.quantity import Quantity
from windlass.errors import DataError
from windlass.training.dataset import read_dataset

Table = dict[str, list[Any]]
Make = Callable[..., Project]


def test_the_frame_holds_columns_in_declared_order_with_missing_values_as_nan(
    project_of: Make, table: Table
) -> None:
    shuffled = {name: table[name] for name in ("kind", "colour", "n", "x")}
    dataset = read_dataset(project_of(shuffled))
    assert list(dataset.frame.columns) == ["x", "n", "colour"]
    assert dataset.frame.dtypes.tolist() == [np.float64, np.float64, np.dtype(object)]
    assert np.isnan(dataset.frame["n"][3])
    assert np.isnan(dataset.frame["colour"][0])
    assert dataset.labels is not None
    assert dataset.labels.tolist() == [0] * 10 + [1] * 10


def test_every_table_library_gives_the_same_digest(project_of: Make, table: Table) -> None:
    tables = [table, pd.DataFrame(table), pa.table(table), pa.table(table).combine_chunks()]
    categorical = pd.DataFrame(table).astype({"colour": "category", "kind": "category"})
    extra = pd.DataFrame(table).assign(unused=1)
    digests = {read_dataset(project_of(data)).digest for data in (*tables, categorical, extra)}
    assert len(digests) == 1


def test_a_polars_frame_is_data(project_of: Make, table: Table) -> None:
    polars = pytest.importorskip("polars")
    assert (
        read_dataset(project_of(polars.DataFrame(table))).digest
        == read_dataset(project_of(table)).digest
    )


@pytest.mark.parametrize(
    ("name", "row", "value"),
    [("x", 2, 2.5), ("n", 5, None), ("colour", 1, "blue"), ("kind", 4, "a")],
)
def test_any_changed_cell_changes_the_digest(
    project_of: Make, table: Table, name: str, row: int, value: object
) -> None:
    before = read_dataset(project_of(table)).digest
    table[name][row] = value
    assert read_dataset(project_of(table)).digest != before


def test_the_order_of_rows_changes_the_digest(project_of: Make, table: Table) -> None:
    turned = {name: values[::-1] for name, values in table.items()}
    assert read_dataset(project_of(turned)).digest != read_dataset(project_of(table)).digest


def test_moving_text_between_cells_changes_the_digest(project_of: Make, table: Table) -> None:
    table["colour"][:2] = ["ab", "c"]
    before = read_dataset(project_of(table)).digest
    table["colour"][:2] = ["a", "bc"]
    assert read_dataset(project_of(table)).digest != before


def test_negative_zero_is_zero(project_of: Make, table: Table) -> None:
    before = read_dataset(project_of(table)).digest
    table["x"][0] = -0.0
    assert read_dataset(project_of(table)).digest == before


def test_rows_that_break_the_declaration_are_counted_and_named(
    project_of: Make, table: Table
) -> None:
    table["x"][4] = 200.0
    table["x"][7] = None
    with pytest.raises(
        DataError,
        match=r"2 of 20 rows .* in x\. The first is row 4 \(counted from 0\), x: .*100.* in data\(\), or",
    ):
        read_dataset(project_of(table))


def test_an_unknown_class_is_named(project_of: Make, table: Table) -> None:
    table["kind"][6] = "c"
    with pytest.raises(
        DataError, match=r"'kind': 1 of 20 rows .* row 6 .*: 'c'\. Declared: 'b', 'a'"
    ):
        read_dataset(project_of(table))


def test_a_missing_class_is_named(project_of: Make, table: Table) -> None:
    table["kind"][6] = None
    with pytest.raises(DataError, match=r"row 6 \(counted from 0\): missing\."):
        read_dataset(project_of(table))


@pytest.mark.parametrize("name", ["n", "kind"])
def test_a_missing_column_is_named(project_of: Make, table: Table, name: str) -> None:
    del table[name]
    with pytest.raises(DataError, match=f"0 columns '{name}'"):
        read_dataset(project_of(table))


def test_data_that_fails_says_how(project_of: Make) -> None:
    def broken() -> Any:
        raise FileNotFoundError("points.csv")

    with pytest.raises(
        DataError, match=r"data\(\) of project 'points' failed: FileNotFoundError: points"
    ):
        read_dataset(project_of(broken))


@pytest.mark.parametrize("data", [42, {"x": [1], "n": [1, 2]}, None])
def test_what_is_no_table_is_refused(project_of: Make, data: object) -> None:
    with pytest.raises(DataError, match="is not a table"):
        read_dataset(project_of(data))


def test_no_rows_are_refused(project_of: Make, table: Table) -> None:
    with pytest.raises(DataError, match="no rows"):
        read_dataset(project_of({name: [] for name in table}))


def test_a_quantity_may_not_be_missing(project_of: Make, table: Table) -> None:
    table["kind"] = [float(i) for i in range(19)] + [float("nan")]
    with pytest.raises(
        DataError, match="'kind': 1 of 20 rows are missing or infinite, the first is row 19"
    ):
        read_dataset(project_of(table, target=Quantity("kind")))
    table["kind"][19] = 1
    dataset = read_dataset(project_of(table, target=Quantity("kind")))
    assert dataset.labels is None
    assert dataset.truth.dtype == np.float64


def test_classes_may_be_integers_or_booleans(project_of: Make, table: Table) -> None:
    table["kind"] = [i % 2 for i in range(20)]
    numbers = read_dataset(project_of(table, target=Classes("kind", [1, 0])))
    assert numbers.labels is not None
    assert numbers.labels.tolist() == [1 - i % 2 for i in range(20)]


def test_rows_come_from_the_file_that_is_named(
    project_of: Make, table: Table, tmp_path: Path
) -> None:
    def rows(file: Path | None = None) -> Any:
        return table if file is None else pd.read_json(file)

    project, file = project_of(rows), tmp_path / "rows.json"
    pd.DataFrame(table).head(7).to_json(file)
    assert (len(read_dataset(project)), len(read_dataset(project, file))) == (20, 7)
    file.write_text("{")
    with pytest.raises(DataError, match=r"data\(\) of project 'points' failed: "):
        read_dataset(project, file)
    with pytest.raises(DataError, match=r"There is no .*none\.json .* with --data"):
        read_dataset(project, tmp_path / "none.json")


CSV = "x;n;colour;kind;id\n" + "0,5;1;red;b;7\n" * 9 + "1,5;;NA;a;8\n" * 10


class Semicolons(Point, missing=("NA",), csv=CsvFormat(delimiter=";", decimal=",")):
    """Points in another format of CSV."""


@pytest.mark.parametrize("kind", [str, Path])
def test_data_may_name_a_file_which_is_read_by_the_row(
    project_of: Make, tmp_path: Path, kind: type, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "points.csv"
    path.write_text(CSV)
    declared = project_of(kind(path), row=Semicolons)
    dataset = read_dataset(declared)
    assert dataset.batch.numeric[0].tolist() == [0.5, 1.0]
    assert np.isnan(dataset.batch.numeric[9, 1])
    assert dataset.batch.text[:, 0].tolist() == ["red"] * 9 + [""] * 10
    assert dataset.labels is not None
    assert dataset.labels.tolist() == [0] * 9 + [1] * 10
    assert "Semicolons does not have are ignored: id." in caplog.text
    assert read_dataset(project_of({}, row=Semicolons), path).digest == dataset.digest


@pytest.mark.parametrize(
    ("cells", "reason"),
    [("x;1;red;b;7", "line 21, x: "), ("1;1;red;c;7", "line 21, kind: Input should be 'b' or 'a'"),
     ("1;1;red;;7", "line 21, kind: .*, not null"), ("1;1;red;a", "line 21 has 4 cells")],
)  # fmt: skip
def test_a_row_of_a_file_that_does_not_fit_is_named_by_its_line(
    project_of: Make, tmp_path: Path, cells: str, reason: str
) -> None:
    path = tmp_path / "points.csv"
    path.write_text(f"{CSV}{cells}\n")
    with pytest.raises(DataError, match=reason):
        read_dataset(project_of(path, row=Semicolons))


def test_a_relative_file_is_beside_the_code_of_data(project_of: Make, tmp_path: Path) -> None:
    code = tmp_path / "project.py"
    code.write_text("def data():\n    return 'points.csv'\n")
    scope: dict[str, Any] = {}
    exec(compile(code.read_text(), str(code), "exec"), scope)
    declared = project_of(scope["data"], row=Semicolons)
    with pytest.raises(DataError, match=r"names the file .*points\.csv, which does not exist"):
        read_dataset(declared)
    (tmp_path / "points.csv").write_text(CSV)
    assert len(read_dataset(declared)) == 19


def test_a_misspelt_column_is_answered_with_the_one_that_was_meant(project_of: Any) -> None:
    table = {"x": [1.0, 2.0], "n": [1, 2], "color": ["a", "b"], "kind": ["a", "b"]}
    with pytest.raises(DataError, match="Did you mean 'colour' by 'color'"):
        read_dataset(project_of(table))
