"""The type of a column is inferred from its cells, however they are written."""

import pytest
from tests.support.source_columns import profile_of

from windlass.scaffold.column_profile import ColumnType


def many(*texts: str, times: int = 10) -> list[str]:
    return list(texts) * times


@pytest.mark.parametrize(
    ("texts", "kind"),
    [
        (["1", "2", "30"], ColumnType.INTEGER),
        (["-1", "+2", "0"], ColumnType.INTEGER),
        ([" 1", "2 "], ColumnType.INTEGER),
        (["1", "2.5"], ColumnType.NUMBER),
        ([".5", "1e3", "-2."], ColumnType.NUMBER),
        (["35.0", "20.0"], ColumnType.NUMBER),
        (["35.0", "20.0", ""], ColumnType.INTEGER),
        (["0", "1", "1"], ColumnType.BOOLEAN),
        (["Yes", "No"], ColumnType.BOOLEAN),
        (["Y", "n", "N"], ColumnType.BOOLEAN),
        (["TRUE", "FALSE", "NA"], ColumnType.BOOLEAN),
        (["t", "f"], ColumnType.BOOLEAN),
        (["2024-01-31", "2023-02-28"], ColumnType.DATE),
        (["2024-01-31 00:00:00", "2023-02-28 00:00:00"], ColumnType.DATE),
        ([*(f"2024-01-{day}" for day in range(10, 20)), "0000-00-00"], ColumnType.DATE),
        (["2024-01-31 10:00", "2023-02-28T00:00:00"], ColumnType.TIMESTAMP),
        (["2024-01-31T10:00:00.5Z", "2023-02-28T00:00:00+02:00"], ColumnType.TIMESTAMP),
        (many("on", "off"), ColumnType.BOOLEAN),
        (many("ja", "nein"), ColumnType.CATEGORY),
        (many("007", "008"), ColumnType.CATEGORY),
        (["red", "red", "blue"], ColumnType.TEXT),
    ],
)
def test_types(texts: list[str], kind: ColumnType) -> None:
    profile = profile_of(texts)
    assert (profile.type, profile.left_out) == (kind, None)
    assert profile.reasons or kind is ColumnType.TEXT


@pytest.mark.parametrize(
    "marker", ["", " ", "NA", "n/a", "NaN", "null", "NULL", "?", "#N/A", "<NA>"]
)
def test_missing_cells(marker: str) -> None:
    numbers = profile_of(["1", marker, "3", marker])
    assert (numbers.type, numbers.missing_rows, numbers.missing) == (
        ColumnType.INTEGER,
        2,
        (marker,),
    )
    words = profile_of([*many("a", "b"), marker])
    assert (words.categories, words.missing_rows) == (("a", "b"), 1)


@pytest.mark.parametrize("marker", ["-", "none", "unknown", ".", "inf", "#DIV/0!"])
def test_words_between_numbers_are_missing_and_elsewhere_categories(marker: str) -> None:
    numbers = profile_of(["1.5", "2.5", "3.5", "4.5", marker])
    assert (numbers.type, numbers.missing, numbers.doubts) == (ColumnType.NUMBER, (marker,), ())
    assert marker in (profile_of(many("a", "b", marker)).categories or ())


def test_a_strange_word_between_numbers_is_missing_and_doubtful() -> None:
    profile = profile_of([*map(str, range(20)), "approx. 7"])
    assert profile.type is ColumnType.INTEGER
    assert "'approx. 7'" in profile.doubts[0]


def test_many_strange_words_make_a_text() -> None:
    assert profile_of([*map(str, range(20)), "a", "b", "c", "d"]).type is ColumnType.TEXT


@pytest.mark.parametrize(
    ("texts", "csv", "low", "high"),
    [
        (["1,5", "2,25"], {"decimal": ",", "delimiter": ";"}, 1.5, 2.25),
        (["1.234,5", "12"], {"decimal": ",", "thousands": ".", "delimiter": ";"}, 12, 1234.5),
        (["1,234", "1,000,000"], {"thousands": ","}, 1234, 1_000_000),
        (["1 234", "12"], {"thousands": " "}, 12, 1234),
    ],
)
def test_numbers_are_read_as_the_file_writes_them(
    texts: list[str], csv: dict[str, str], low: float, high: float
) -> None:
    profile = profile_of(texts, **csv)
    assert (profile.low, profile.high) == (low, high)


@pytest.mark.parametrize(
    ("texts", "reason"),
    [
        (["", "NA", ""], "every cell is missing"),
        (["5", "5", "5"], "every cell holds '5'"),
        (["x", "", "x"], "every cell that is not missing holds 'x'"),
        (["31/01/2024", "28/02/2023"], "'31/01/2024', are not written YYYY-MM-DD"),
        (["1.2.2024", "28.2.2023 10:00"], "not written YYYY-MM-DD"),
        (["Jan 5, 2024", "March 7, 2023"], "not written YYYY-MM-DD"),
        (["5. Mai 2024", "17 März 2023"], "not written YYYY-MM-DD"),
        (["2024/01/31", "2023/02/28"], "not written YYYY-MM-DD"),
        (["2024-01-31", "2023-02-28 10:00"], "write all in one way"),
        (["2024-01-31T09:00Z", "2023-02-28 10:00"], "write all in one way"),
        (["9007199254740993", "12345678901234567890"], "beyond 2^53"),
        ([f"name {number}" for number in range(40)], "40 different texts in 40 rows"),
        ([f"{'a long remark ' * 5}{number}" for number in range(40)], "free text"),
        ([f"${number}.50" for number in range(40)], "look like numbers"),
        ([f"{number} %" for number in range(40)], "look like numbers"),
    ],
)
def test_what_a_model_cannot_learn_from_is_left_out(texts: list[str], reason: str) -> None:
    assert reason in (profile_of(texts).left_out or "")


def test_a_closed_set_has_no_value_that_occurs_once() -> None:
    assert profile_of(many("a", "b", "c")).categories == ("a", "b", "c")
    assert profile_of([*many("a", "b"), "c"]).categories is None


def test_a_closed_set_has_few_values() -> None:
    values = [f"city {number}" for number in range(31)]
    assert profile_of(values[:30] * 3).categories is not None
    assert profile_of(values * 3).categories is None


def test_spaces_around_texts_are_noticed() -> None:
    profile = profile_of(many("red", " red", "blue"))
    assert (profile.categories, profile.strip) == (("blue", "red"), True)


def test_long_texts_raise_the_limit() -> None:
    assert profile_of(many("a" * 300, "b", "c")).max_length == 600


@pytest.mark.parametrize(
    ("texts", "doubt"),
    [
        (["-999", "-999", "1", "2", "3"], "-999 occurs 2 times"),
        (["20240131", "20230228", "20230228"], "YYYYMMDD"),
        (many("1", "2", "3", times=20), "3 whole numbers; if they are codes"),
        (["2024-01-31 10:00", "2023-02-28 11:00"], "read as UTC"),
    ],
)
def test_doubts(texts: list[str], doubt: str) -> None:
    assert doubt in profile_of(texts).doubts[0]


@pytest.mark.parametrize("texts", [["1", "2", "999"], ["-1", "5", "7"], ["90", "99", "99"]])
def test_plausible_numbers_raise_no_doubt(texts: list[str]) -> None:
    assert profile_of(texts).doubts == ()


@pytest.mark.parametrize(
    ("stored_as", "texts", "kind"),
    [
        ("bool", ["true", "false"], ColumnType.BOOLEAN),
        ("int64", ["0", "1"], ColumnType.INTEGER),
        ("double", ["1", "2"], ColumnType.NUMBER),
        ("double", ["1", "2", None], ColumnType.INTEGER),
        ("date32[day]", ["2024-01-31", "2024-02-01"], ColumnType.DATE),
        ("timestamp[us]", ["2024-01-31 10:00:00", "2024-02-01 00:00:00"], ColumnType.TIMESTAMP),
        ("timestamp[us]", ["2024-01-31 00:00:00", "2024-02-01 00:00:00"], ColumnType.DATE),
        ("string", ["1", "2", "2", "1"], ColumnType.CATEGORY),
    ],
)
def test_types_that_a_file_stores_are_kept(
    stored_as: str, texts: list[str], kind: ColumnType
) -> None:
    assert profile_of(texts, stored_as=stored_as).type is kind


def test_what_no_row_can_hold_is_left_out() -> None:
    profile = profile_of(["[1, 2]", "[3]"], stored_as="list<item: int64>")
    assert "list<item: int64>" in (profile.left_out or "")


@pytest.mark.parametrize(
    ("name", "unit"),
    [("Weight (kg)", "kg"), ("Length [mm]", "mm"), ("Weight", None), ("(x)", None)],
)
def test_units_in_names(name: str, unit: str | None) -> None:
    assert profile_of(["1", "2"], name=name).unit == unit
