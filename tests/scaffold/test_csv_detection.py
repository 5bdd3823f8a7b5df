"""How a CSV file is written is detected: encoding, delimiter, header."""

import codecs
from pathlib import Path

import pytest
from tests.support.source_columns import write_csv

from windlass.errors import DataError
from windlass.scaffold.csv_detection import detect_dialect

ROWS = "name,city,y\nAnna,Köln,1\nBo,Malmö,0\n"


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_delimiters(tmp_path: Path, delimiter: str) -> None:
    dialect = detect_dialect(write_csv(tmp_path, ROWS.replace(",", delimiter)))
    assert dialect.delimiter == delimiter
    assert bool(dialect.reasons) == (delimiter != ",")


def test_commas_in_cells_do_not_hide_another_delimiter(tmp_path: Path) -> None:
    text = "price;text;y\n1,5;a, b;0\n2,25;c;1\n3,0;d, e, f;1\n"
    assert detect_dialect(write_csv(tmp_path, text)).delimiter == ";"


def test_delimiters_in_quotes_do_not_count(tmp_path: Path) -> None:
    text = 'a,b,y\n"x;y;z",1,0\n"x;y;z",2,1\n'
    assert detect_dialect(write_csv(tmp_path, text)).delimiter == ","


@pytest.mark.parametrize("encoding", ["cp1252", "latin-1", "iso8859-15"])
def test_western_text_is_read_as_cp1252(tmp_path: Path, encoding: str) -> None:
    dialect = detect_dialect(write_csv(tmp_path, ROWS, encoding))
    assert dialect.encoding == "cp1252"
    assert "Köln" in dialect.doubts[0] or "Malmö" in dialect.doubts[0]


@pytest.mark.parametrize(
    ("text", "encoding"),
    [
        ("имя,город,y\nАнна,Москва,1\nБорис,Казань,0\n" * 20, "cp1251"),  # noqa: RUF001
        ("名前,y\n東京都渋谷区,1\n" * 20, "shift_jis"),
    ],
)
def test_other_encodings_are_detected(tmp_path: Path, text: str, encoding: str) -> None:
    file = write_csv(tmp_path, text, encoding)
    dialect = detect_dialect(file)
    assert file.read_bytes().decode(dialect.encoding) == text


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_a_byte_order_mark_says_the_encoding(tmp_path: Path, encoding: str) -> None:
    dialect = detect_dialect(write_csv(tmp_path, ROWS, encoding))
    assert dialect.encoding == encoding.removesuffix("-sig")
    assert dialect.doubts == ()


def test_a_letter_far_behind_decides_the_encoding(tmp_path: Path) -> None:
    text = "a,b,y\n" + "1,2,0\n" * 400_000 + "1,Köln,0\n"
    assert detect_dialect(write_csv(tmp_path, text)).encoding == "utf-8"
    assert detect_dialect(write_csv(tmp_path, text, "cp1252")).encoding == "cp1252"


def test_a_few_broken_lines_of_utf_8_are_refused(tmp_path: Path) -> None:
    file = write_csv(tmp_path, ROWS * 3)
    file.write_bytes(file.read_bytes() + b"C\xf6ln,x,1\n")
    with pytest.raises(DataError, match=r"line 10 .* is not UTF-8"):
        detect_dialect(file)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty"),
        (b" \n\n", "is empty"),
        (b"y\n1\n0\n", "one column"),
        (b"1,2,3\n4,5,6\n", "no names"),
        (b"sep=;\na;b;y\n1;2;3\n4;5;6\n", "a hint for Excel"),
        (
            b"Report of May\na,b,y\n1,2,3\n4,5,6\n7,8,9\n1,2,3\n4,5,6\n7,8,9\n1,2,3\n4,5,6\n7,8,9\n",
            "first line .* 1 cell",
        ),
        (codecs.BOM_UTF8 + b"PK\0\0,\0", "not text"),
    ],
)
def test_what_is_not_a_table_is_refused(tmp_path: Path, content: bytes, message: str) -> None:
    file = tmp_path / "table.csv"
    file.write_bytes(content)
    with pytest.raises(DataError, match=message):
        detect_dialect(file)
