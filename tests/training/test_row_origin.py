"""Errors about training rows name the line of the file to correct, and no line where that is unknown."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from windlass.core.project import Project
from windlass.core.targets.quantity import Quantity
from windlass.errors import DataError
from windlass.training.dataset import read_dataset

Make = Callable[..., Project]
CSV = "x,n,colour,kind\n1.5,1,red,a\n2.5,,,b\n"


def refusal(project_of: Make, file: Path, content: str, **parts: Any) -> str:
    """What is said of a file of this content; `read` reads it."""
    file.write_text(content)
    read = parts.pop("read", pd.read_csv)
    with pytest.raises(DataError) as refused:
        read_dataset(project_of(lambda file=None: read(file), **parts), file)
    return str(refused.value)


@pytest.mark.parametrize(
    ("content", "line"),
    [
        (CSV + "200,3,red,a\n", 4),
        (CSV + "\n\n200.0,3,red,a\n", 6),  # blank lines are no rows
        (CSV + '1,3,"a colour\nof two lines",a\n200,3,red,a\n', 6),
        ("\ufeff" + CSV + "200,3,red,a\n", 4),
        ("index," + CSV.replace("\n", "\n0,", 2) + "0,200,3,red,a\n", 4),
    ],
)
def test_a_row_that_does_not_fit_is_named_by_its_line(
    project_of: Make, tmp_path: Path, content: str, line: int
) -> None:
    file = tmp_path / "points.csv"
    message = refusal(project_of, file, content)
    assert f"The first is line {line} of points.csv, x: " in message
    assert (
        f"Correct or drop these rows in {file}, or in data(), or declare what x may hold."
        in message
    )


def test_a_cell_that_is_missing_and_may_not_be(project_of: Make, tmp_path: Path) -> None:
    assert "line 4 of points.csv, x:" in refusal(
        project_of, tmp_path / "points.csv", CSV + ",3,red,a\n"
    )


def test_a_target_is_named_by_its_line(project_of: Make, tmp_path: Path) -> None:
    file = tmp_path / "points.csv"
    message = refusal(project_of, file, CSV + "3,3,red,c\n")
    assert (
        f"line 4 of points.csv: 'c'. Declared: 'b', 'a'. Declare the class, or drop the rows in {file}"
        in message
    )
    numbers = CSV.replace(",a", ",1").replace(",b", ",2") + "3,3,red,\n"
    message = refusal(project_of, file, numbers, target=Quantity("kind"))
    assert "the first is line 4 of points.csv. Drop these rows in " in message


@pytest.mark.parametrize(
    "read",
    [
        lambda file: pd.read_csv(file).query("x > 2"),  # fewer rows than lines
        lambda file: pd.read_csv(file).sort_values(
            "x", ascending=False
        ),  # as many, in another order
        lambda file: pd.read_csv(file).assign(x=lambda rows: rows["x"] * 10),  # another value
        lambda file: pd.read_csv(file).rename(columns={"kind": "x", "x": "kind"}),
    ],
)
def test_no_line_is_named_where_rows_are_not_the_files(
    project_of: Make, tmp_path: Path, read: Callable[[Path], Any]
) -> None:
    message = refusal(project_of, tmp_path / "points.csv", CSV + "200,3,red,a\n", read=read)
    assert "(counted from 0), x: " in message
    assert "line" not in message.partition("points.csv")[2]


def test_a_file_of_another_form_has_no_lines(project_of: Make, tmp_path: Path) -> None:
    file, parquet = tmp_path / "points.parquet", pd.read_parquet
    pd.DataFrame(
        {"x": [1.0, 200.0], "n": [1, 2], "colour": ["a", "b"], "kind": ["a", "b"]}
    ).to_parquet(file)
    with pytest.raises(
        DataError, match=r"row 1 \(counted from 0\), x: .* in .*points\.parquet, or in data"
    ):
        read_dataset(project_of(lambda file=None: parquet(file)), file)
