"""read_table: the reader of files for user code and for trainings, and what it refuses."""

from datetime import date
from pathlib import Path

import pyarrow as pa
import pytest
from pyarrow import parquet
from tests.support.workbooks import write_workbook

from windlass import CsvFormat, Row, read_table
from windlass.errors import InputError, TableError


class Customer(Row, missing=("NA", "?")):
    age: int
    income: float | None
    member: bool
    since: date | None
    city: str | None


class German(Customer, csv=CsvFormat(delimiter=";", decimal=",", encoding="cp1252")):
    """The same customers, in another format of CSV."""


ROWS = {
    "age": [30, 41], "income": [1.5, None], "member": [True, False],
    "since": [date(2020, 1, 2), None], "city": ["Köln", None], "target": ["a", "b"],
}  # fmt: skip
PLAIN = "age,income,member,since,city,target\n30,1.5,yes,2020-01-02,Köln,a\n41,NA,0,?,,b\n"
OTHER = PLAIN.replace(",", ";").replace("1.5", "1,5")


def written(path: Path, content: str | bytes) -> Path:
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def test_every_format_gives_the_same_table(tmp_path: Path) -> None:
    table = pa.table(ROWS)
    parquet.write_table(table, tmp_path / "rows.parquet")
    with pa.ipc.new_file(tmp_path / "rows.arrow", table.schema) as sink:
        sink.write_table(table)
    files = [
        read_table(written(tmp_path / "rows.csv", PLAIN), Customer),
        read_table(written(tmp_path / "german.csv", OTHER.encode("cp1252")), German),
        read_table(str(tmp_path / "rows.parquet"), Customer),
        read_table(tmp_path / "rows.arrow", Customer),
    ]
    kinds = [pa.int64(), pa.float64(), pa.bool_(), pa.date32(), pa.string(), pa.string()]
    for read in files:
        assert read.to_pydict() == ROWS
        assert read.schema.types == kinds


def test_a_row_that_does_not_fit_is_named_by_its_line(tmp_path: Path) -> None:
    text = 'age,income,member,since,city\n\n1,2,yes,,"a\nb"\n2,x,yes,,c\n3,2,ja,2020-13-01,d\n'
    with pytest.raises(TableError) as caught:
        read_table(written(tmp_path / "rows.csv", text), Customer)
    assert "2 of 3 rows do not fit Customer: line 5, income: Input should be" in str(caught.value)
    assert "line 6, member" in str(caught.value)
    table, rejected = read_table(tmp_path / "rows.csv", Customer, lenient=True)
    assert table["age"].to_pylist() == []  # a record a line: the cell of two lines is no row either
    assert rejected["line"].to_pylist() == [3, 4, 5, 6, 6]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("a,b\n1,2\n3\n", "line 3 has 1 cell, the header names 2"),
        ("a,b\n\n1,2\n3,4,5\n", "line 4 has 3 cells, the header names 2"),
        ('a,b\n1,"x\n2,3\n', "line 2 opens a quote that is never closed"),
        ('a,b\n1,"x"y\n2,3\n', "line 2 has text behind a closing quote"),
        ('a,b\n1,"x\n2,"y"\n', "line 2 has text behind a closing quote"),
        ("a,b\n" + "1,x\n" * 100_000 + '2,"x\n' + "3,x\n" * 100_000, "line 100002 opens a quote"),
        ("a;b\n1;2\n", "lacks the columns 'a', 'b'"),
    ],
    ids=range(7),
)
def test_broken_csv_is_refused_whole_with_its_line(tmp_path: Path, text: str, reason: str) -> None:
    class Pair(Row):
        a: int
        b: str

    with pytest.raises(TableError, match=reason):
        read_table(written(tmp_path / "rows.csv", text), Pair)


def test_lenient_every_line_is_a_row_or_a_reject(tmp_path: Path) -> None:
    class Pair(Row):
        a: int
        b: str

    lines = ["1,x", '2,"y', "3", "x,z", '4,"q"r', "5,w"]
    path = written(tmp_path / "rows.csv", "\n".join(["a,b", *lines, ""]))
    table, rejected = read_table(path, Pair, lenient=True)
    assert table["a"].to_pylist() == [1, 5]
    assert sorted(rejected["line"].to_pylist()) == [3, 4, 5, 6]
    assert table.num_rows + rejected.num_rows == len(lines)


@pytest.mark.parametrize("optional", [False, True])
def test_a_misspelt_column_is_answered_with_the_one_that_was_meant(
    tmp_path: Path, optional: bool
) -> None:
    class Optional(Row):
        age: int
        income: float | None = None

    class Required(Row):
        age: int
        income: float | None

    path = written(tmp_path / "rows.csv", "age,Incme,id\n1,2,3\n")
    with pytest.raises(TableError, match="Did you mean 'income' by 'Incme'"):
        read_table(path, Optional if optional else Required)
    path.write_text("age,income,id\n1,2,3\n")
    assert read_table(path, Required).column_names == ["age", "income", "id"]


def test_the_delimiter_that_the_file_has_is_named(tmp_path: Path) -> None:
    path = written(tmp_path / "rows.csv", OTHER.encode())
    with pytest.raises(
        TableError, match=r"line 1 separates its cells by ';', and Customer declares ','"
    ):
        read_table(path, Customer)


def test_excel_is_read_as_csv(tmp_path: Path) -> None:
    header = list(ROWS)
    path = write_workbook(
        tmp_path / "rows.xlsx",
        [header, [30, 1.5, True, date(2020, 1, 2), "Köln", "a"], [41, "NA", "no", "?", None, "b"]],
    )
    assert read_table(path, Customer).to_pydict() == ROWS
    write_workbook(path, [header, [30.5, 1, True, None, 5, "a"]])
    with pytest.raises(TableError, match="line 2, age: "):
        read_table(path, Customer)


def test_a_file_of_another_encoding_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="not UTF-8"):
        read_table(written(tmp_path / "rows.csv", PLAIN.encode("cp1252")), Customer)
    with pytest.raises(InputError, match="not cp1252"):
        read_table(written(tmp_path / "rows.csv", OTHER.encode("cp1252") + b"\x81"), German)
