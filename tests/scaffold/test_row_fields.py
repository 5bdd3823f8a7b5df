"""Fields of a row are written in Python: names, types, ranges, examples."""

from typing import Any

import pytest
from tests.support.source_columns import profile_of

from windlass.core.row import Row, column
from windlass.scaffold.column_profile import ColumnProfile, ColumnType
from windlass.scaffold.row_fields import LINE, is_field_name, name_fields, quote, widen


def names(*columns: str) -> list[tuple[str, str | None]]:
    profiles = [ColumnProfile(name, ColumnType.NUMBER, 1) for name in columns]
    return [(field.name, field.alias) for field in name_fields(profiles)]


@pytest.mark.parametrize("name", ["Age", "total_charges", "größe", "日本", "match", "x1"])
def test_names_of_python_are_kept(name: str) -> None:
    assert names(name) == [(name, None)]


@pytest.mark.parametrize(
    ("name", "field"),
    [
        ("Total Charges", "total_charges"),
        ("TotalCharges (EUR)", "total_charges_eur"),
        ("class", "class_"),
        ("from", "from_"),
        ("copy", "copy_"),
        ("json", "json_"),
        ("model_dump_x", "column_model_dump_x"),
        ("_hidden", "hidden"),
        ("1st", "column_1st"),
        ("%", "column_"),
        ("int", "int_"),
        ("dt", "dt_"),
        ("\ufb01n", "fin"),
        ("a.b", "a_b"),
        ("x" * 80, "x" * 50),
    ],
)
def test_other_names_are_aliases(name: str, field: str) -> None:
    ((snake, alias),) = names(name)
    assert alias == name
    assert (snake, is_field_name(snake)) == (field, True)


def test_names_that_become_equal_are_numbered() -> None:
    assert [name for name, _ in names("a b", "a-b", "a_b", "A b")] == [
        "a_b_2",
        "a_b_3",
        "a_b",
        "a_b_4",
    ]


@pytest.mark.parametrize(
    ("low", "high", "whole", "bounds"),
    [
        (0.42, 80, False, (0, 120)),
        (18, 69, True, (0, 95)),
        (1, 3, True, (0, 4)),
        (2007, 2009, True, (2006, 2010)),
        (-5, 5, True, (-10, 10)),
        (-9.5, -0.5, False, (-14, 0)),
        (7.5, 7.5, False, (3.7, 11.3)),
        (0, 0.001, False, (0, 0.0015)),
        (0, 2**53, True, (0, 2**53)),
    ],
)
def test_ranges_have_a_margin_and_round_numbers(
    low: float, high: float, whole: bool, bounds: tuple[float, float]
) -> None:
    assert widen(low, high, whole=whole) == bounds


@pytest.mark.parametrize(("low", "high"), [(-1.7e308, 1.7e308), (1e-300, 2e-300), (1e15, 1e15 + 1)])
def test_ranges_of_extreme_numbers_hold_them(low: float, high: float) -> None:
    lowest, highest = widen(low, high, whole=False)
    assert lowest <= low <= high <= highest


@pytest.mark.parametrize("text", ["a", 'a "b"', "it's", "a\\b", "a\nb", "'\"", "ä", "\u2028"])
def test_texts_are_quoted(text: str) -> None:
    assert eval(quote(text)) == text
    assert "\n" not in quote(text)


@pytest.mark.parametrize(
    ("texts", "name", "source"),
    [
        (["1", "30"], "age", 'age: int = column("Age", ge=0, le=45, example=30)'),
        (
            ["1.5", "30", ""],
            "Weight (kg)",
            """weight_kg: float | None = column(
        "Weight", alias="Weight (kg)", unit="kg", default=None, ge=0, le=45, example=30
    )""",
        ),
        (["yes", "no"], "paid", 'paid: bool = column("Paid")'),
        (["a", "b"] * 5, "kind", 'kind: Literal["a", "b"] = column("Kind")'),
        (["a", "b", "b"], "city", 'city: str = column("City", example="b")'),
        (
            ["2024-01-31", "2024-02-01"],
            "day",
            """day: dt.date = column(
        "Day", ge=dt.date(2014, 1, 1), le=dt.date(2034, 12, 31), example=dt.date(2024, 2, 1)
    )""",
        ),
        ([" a", "a ", "b", "b"], "kind", 'kind: Literal["a", "b"] = column("Kind", strip=True)'),
        (
            ["2024-01-31 10:00", "2024-02-01 11:00"],
            "time",
            'time: dt.datetime = column("Time", utc=True, example="2024-02-01 11:00")',
        ),
    ],
)
def test_fields(texts: list[str], name: str, source: str) -> None:
    (field,) = name_fields([profile_of(texts, name=name)])
    assert field.source() == f"    {source}"


def test_long_fields_are_folded_and_run() -> None:
    texts = [f'category "{number}", the longest' for number in range(12)] * 2
    (field,) = name_fields([profile_of(texts, name="A long name, with a comma")])
    source = field.source()
    assert max(map(len, source.splitlines())) <= LINE
    scope: dict[str, Any] = {}
    exec(
        f"from typing import Literal\nfrom windlass import Row, column\nclass R(Row):\n{source}",
        scope,
    )
    row: type[Row] = scope["R"]
    assert set(row.model_json_schema()["properties"]["A long name, with a comma"]["enum"]) == set(
        texts
    )
    assert column is scope["column"]
