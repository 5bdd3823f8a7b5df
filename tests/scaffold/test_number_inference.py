"""The decimal mark and the mark between groups of digits are detected for the whole file."""

import pytest
from tests.support.source_columns import source_column

from windlass.scaffold.number_inference import detect_number_format


@pytest.mark.parametrize(
    ("columns", "delimiter", "expected"),
    [
        ([["1.5", "2"]], ",", (".", None)),
        ([["1", "2"]], ";", (".", None)),
        ([["1,5", "2,25"]], ";", (",", None)),
        ([["1,5", "2,25"]], ",", (",", None)),
        ([["1.234,5", "2,25"]], ";", (",", ".")),
        ([["1,234.5", "2.25"]], ",", (".", ",")),
        ([["1,234", "12,000"]], ",", (".", ",")),
        ([["1,234", "12,000"]], ";", (",", None)),
        ([["1,234", "12,000"], ["1.5", "2"]], "\t", (".", ",")),
        ([["1'234.5", "12"]], ",", (".", "'")),
        ([["1 234,5", "12"]], ";", (",", " ")),
        ([["1.234", "12.5"], ["1,5"], ["2,5"]], ";", (",", None)),
        ([["a", "b"], ["", "NA"]], ",", (".", None)),
        ([["1,5", "2,5", "-", "unknown"]], ";", (",", None)),
    ],
)
def test_number_formats(
    columns: list[list[str]], delimiter: str, expected: tuple[str, str | None]
) -> None:
    assert detect_number_format(map(source_column, columns), delimiter) == expected


def test_columns_with_a_type_do_not_count() -> None:
    column = source_column(["1,5", "2,5"], stored_as="string")
    assert detect_number_format([column], ",") == (".", None)
