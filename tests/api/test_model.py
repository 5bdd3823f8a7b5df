"""`windlass.load`: answers as a server gives them, for every form of rows; what the model refuses is never left out."""

import json
from datetime import date
from pathlib import Path
from typing import Any

import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tests.support.registry_home import RegistryHome
from tests.support.server import LOAN, Server
from tests.support.trained_bundles import BundleOf
from tests.support.workbooks import write_workbook

import windlass
from windlass.errors import (
    BundleError,
    InputError,
    ParameterError,
    RegistryError,
    RejectedRowsError,
    RowsError,
    SettingsError,
    TableError,
    UnknownError,
)

ROWS: list[dict[str, Any]] = [
    LOAN,
    {**LOAN, "age": 60, "children": 2, "employed": True, "opened": None},
    {**LOAN, "income": None, "grade": None, "city": "Ulm", "housing": "own", "age": 18.0},
]


@pytest.fixture(scope="module")
def mixed(bundle_of: BundleOf) -> windlass.Model:
    return windlass.load(bundle_of("mixed"))


def served(server: Server, rows: list[dict[str, Any]]) -> tuple[list[Any], list[Any]]:
    """The answers of `/predict_batch`, to rows as JSON."""
    answer = server.client.post("/predict_batch", json=rows)
    assert answer.status_code == 200, answer.text
    return answer.json()["predictions"], answer.json()["class_probabilities"]


def test_answers_are_those_of_the_server(mixed: windlass.Model, mixed_server: Server) -> None:
    labels, probabilities = served(mixed_server, ROWS)
    assert mixed.predict(ROWS) == labels
    assert mixed.predict_proba(ROWS) == probabilities  # to the last digit
    assert mixed.predict(ROWS[1]) == labels[1]
    assert mixed.predict_proba(ROWS[1]) == probabilities[1]


def test_every_library_gets_its_own_form_in_order(mixed: windlass.Model) -> None:
    labels, probabilities = mixed.predict(ROWS), mixed.predict_proba(ROWS)
    frame = pd.DataFrame(ROWS, index=["c", "a", "b"])
    series = mixed.predict(frame)
    assert (series.tolist(), series.index.tolist()) == (labels, ["c", "a", "b"])
    assert mixed.predict_proba(frame).to_dict("records") == probabilities
    assert mixed.predict_proba(frame).index.tolist() == ["c", "a", "b"]
    polars = pl.DataFrame(ROWS)
    assert mixed.predict(polars).to_list() == labels
    assert mixed.predict_proba(polars).to_dicts() == probabilities
    table = pa.Table.from_pylist(ROWS)
    assert mixed.predict(table).to_pylist() == labels
    assert mixed.predict_proba(table).to_pylist() == probabilities


def test_files_are_read_as_the_server_reads_them(mixed: windlass.Model, tmp_path: Path) -> None:
    labels = mixed.predict(ROWS)
    csv, parquet = tmp_path / "rows.csv", tmp_path / "rows.parquet"
    pd.DataFrame(ROWS).to_csv(csv, index=False)
    pq.write_table(pa.Table.from_pylist(ROWS), parquet)
    names = list(ROWS[0])
    cells = [names, *([row[name] for name in names] for row in ROWS)]
    workbook = write_workbook(tmp_path / "rows.xlsx", cells)
    for file in (str(csv), parquet, workbook):
        assert mixed.predict(file).tolist() == labels
    with pytest.raises(InputError, match="unknown format"):
        mixed.predict(tmp_path / "rows.doc")
    with pytest.raises(InputError, match="No such file"):
        mixed.predict(tmp_path / "none.csv")


def test_other_columns_of_a_table_are_ignored_and_named(
    mixed: windlass.Model, tmp_path: Path
) -> None:
    frame = pd.DataFrame([mixed.example] * 3)
    more = frame.assign(outcome="yes", number=[7, 8, 9])
    file = tmp_path / "rows.csv"
    more.to_csv(file, index=False)
    expected = mixed.predict(frame).tolist()
    for rows in (more, file):
        with pytest.warns(
            UserWarning, match=r"does not declare are ignored: outcome, number\."
        ) as warned:
            assert mixed.predict(rows).tolist() == expected
        assert warned[0].filename == __file__
    name = str(frame.columns[0])
    misspelt = frame.rename(columns={name: f"{name}e"})
    with pytest.raises(TableError, match="Did you mean"):
        mixed.predict(misspelt)


def test_values_of_python_mean_what_they_mean_in_a_frame(mixed: windlass.Model) -> None:
    wanted = mixed.predict_proba(LOAN)
    same: dict[str, Any] = {
        **LOAN,
        "opened": date(2000, 3, 9),
        "children": float("nan"),
        "employed": pd.NA,
    }
    assert mixed.predict_proba(same) == wanted
    assert mixed.predict_proba({**same, "opened": pd.Timestamp("2000-03-09")}) == wanted
    assert mixed.predict_proba({**same, "children": pd.NaT}) == wanted


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"income": float("inf")}, "income: Input should be a finite number"),
        ({"age": 17}, "age: Input should be greater than or equal to 18"),
        ({"grade": "D"}, "grade: "),
        ({"colour": "red"}, "Extra inputs are not permitted"),
        ({"income": object()}, "a value of the type object"),
        ({"age": 2**70}, "Integer exceeds 64-bit range"),
    ],
)
def test_invalid_rows_are_named_by_number(
    mixed: windlass.Model, change: dict[str, Any], message: str
) -> None:
    rows = [*[LOAN] * 2000, {**LOAN, **change}]
    with pytest.raises(RowsError) as caught:
        mixed.predict(rows)
    assert message in str(caught.value)
    assert str(caught.value).startswith("Row 2000 (counted from 0)")
    assert [fault["loc"][0] for fault in caught.value.faults] == [2000]


def test_invalid_cells_of_a_frame_are_named(mixed: windlass.Model) -> None:
    frame = pd.DataFrame([LOAN] * 3).assign(age=[30, 5, 200])
    with pytest.raises(RowsError, match=r"Row 1 .*, age: .* 2 rows cannot be used") as caught:
        mixed.predict(frame)
    assert [fault["loc"] for fault in caught.value.faults] == [[1, "age"], [2, "age"]]
    with pytest.raises(RowsError, match="At least one row"):
        mixed.predict(frame[:0])
    with pytest.raises(InputError, match="Give each column one type"):
        mixed.predict(frame.assign(city=pd.Series(["Ulm", 1, None], dtype=object)))
    for rows in (5, b"rows", iter([LOAN])):
        with pytest.raises(InputError, match="Give a data frame"):
            mixed.predict(rows)


def test_rows_that_the_model_refuses_are_no_fewer_answers(bundle_of: BundleOf) -> None:
    model = windlass.load(bundle_of("strict"), allow_pickle=True)
    unknown = {**model.example, _open_text(model): "nobody has seen this"}
    with pytest.raises(
        RejectedRowsError, match=r"Row 1 .*1 row have no prediction|Row 1 "
    ) as caught:
        model.predict([model.example, unknown])
    assert caught.value.faults[0]["loc"][0] == 1
    with pytest.raises(RejectedRowsError):
        model.predict_proba(pd.DataFrame([model.example, unknown]))


def _open_text(model: windlass.Model) -> str:
    return next(each.name for each in model.schema.text if each.categories is None)


def test_facts_of_a_model(mixed: windlass.Model) -> None:
    assert (mixed.project, mixed.engine, len(mixed.digest)) == ("mixed", "onnx", 64)
    assert mixed.predict(mixed.example) in (mixed.classes or ())
    assert 0 < mixed.metrics["accuracy"] <= 1
    assert mixed.card.startswith("# ")
    assert mixed.params["model"] == "linear"
    assert "<td" in mixed._repr_html_()
    assert "accuracy" in mixed.metrics._repr_html_()


def test_a_quantity_has_no_probabilities(bundle_of: BundleOf) -> None:
    model = windlass.load(bundle_of("diabetes"))
    assert isinstance(model.predict(model.example), float)
    with pytest.raises(ParameterError, match="Use predict"):
        model.predict_proba(model.example)


def test_production_is_loaded_and_others_only_by_name(
    registry_home: RegistryHome, iris: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WINDLASS_HOME", str(registry_home.home))
    registry_home.add(iris)
    with pytest.raises(RegistryError, match="no version in production"):
        windlass.load("iris")
    with pytest.warns(windlass.VersionWarning, match="iris v1 is a candidate"):
        assert windlass.load("iris", "v1").version == "v1"
    with pytest.raises(UnknownError):
        windlass.load("iris", 7)
    registry_home.approve("v1")
    assert windlass.load("iris").version == "v1"  # without a warning, which would be an error here


def test_a_folder_needs_trust(bundle_of: BundleOf, iris: Path) -> None:
    with pytest.raises(SettingsError, match="allow_pickle"):
        windlass.load(bundle_of("native"))
    assert windlass.load(bundle_of("native"), allow_pickle=True).engine == "native"
    with pytest.raises(windlass.WindlassError, match="digest"):
        windlass.load(iris, digest="0" * 64)
    with pytest.raises(BundleError):
        windlass.load("/nowhere")


def test_rows_of_the_declared_class_are_read(iris: Path, iris_server: Server) -> None:
    model = windlass.load(iris)

    class Flower(windlass.Row):
        sepal_length: float = windlass.column("cm")
        sepal_width: float = windlass.column("cm")
        petal_length: float = windlass.column("cm")
        petal_width: float = windlass.column("cm")

    row = Flower(**model.example)
    answer = iris_server.client.post("/predict", content=json.dumps(model.example)).json()
    assert model.predict(row) == answer["prediction"]
    assert model.predict_proba([row]) == [answer["class_probabilities"]]
