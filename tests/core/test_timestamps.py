"""Times as text, as every reader of rows takes them; dates and text beside them."""

import pytest
from tests.support.row_readers import readers_of

from windlass.core.row_schema import ColumnKind, ColumnSchema

TIMES = [
    ("2026-11-20T08:30:00Z", True), ("2026-11-20 09:30:00+01:00", True), ("2026-11-20T08:30+00", True),
    ("2026-11-20T03:00:00.000000000-0530", True), ("2026-11-20T08:30:00", False), ("2026-11-20 08:30", False),
]  # fmt: skip
NO_TIMES = [
    "0", "1763627400", "1763627400.0", "20261120T083000Z", "2026-11-20T08:30:00.0000001Z", "2026-11-20T24:00:00Z",
    "2026-11-20T23:59:60Z", "2026-11-20T08Z", "2026-11-20T08:30:00 +01:00", "2026-02-30T08:30:00Z", "2026-11-20Z",
    "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-01:00", "20.11.2026 08:30", "now",
]  # fmt: skip


@pytest.mark.parametrize("utc", [False, True])
def test_every_reader_gives_the_same_time(utc: bool) -> None:
    for read in readers_of(ColumnSchema(name="a", kind=ColumnKind.DATETIME, utc=utc)):
        for cell, has_offset in TIMES:
            assert read(cell) == ([1795163400.0] if utc or has_offset else None), cell
        assert [cell for cell in NO_TIMES if read(cell) is not None] == []
        assert read("2026-11-20") == ([1795132800.0] if utc else None)
        assert read("2026-11-20T08:30:00.000001Z") == [1795163400.000001]


@pytest.mark.parametrize("cell", ["0", "1763627400", "2026-11-20T08:30:00Z"])
def test_no_reader_takes_a_number_or_a_time_for_a_date(cell: str) -> None:
    readers = readers_of(ColumnSchema(name="a", kind=ColumnKind.DATE))
    assert [read(cell) for read in readers] == [None] * len(readers)


@pytest.mark.parametrize("categories", [None, ("red", "dark red")])
@pytest.mark.parametrize("strip", [False, True])
def test_every_reader_ignores_the_spaces_around_text_where_the_row_says_so(
    categories: tuple[str, ...] | None, strip: bool
) -> None:
    column = ColumnSchema(name="a", kind=ColumnKind.CATEGORY, categories=categories, strip=strip)
    for read in readers_of(column):
        for cell in ("red", " red", "red\t", "\u00a0 red \r\n", "  dark red "):
            unstripped = cell if categories is None or cell == "red" else None
            expected = cell.strip(" \t\u00a0\r\n") if strip else unstripped
            assert read(cell) == (None if expected is None else [expected]), cell
        assert read("r ed") == (["r ed"] if categories is None else None)
        assert read("\u2003red") == (["\u2003red"] if categories is None else None)
        if strip:
            assert read("  ") is None
