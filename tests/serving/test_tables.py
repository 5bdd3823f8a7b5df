"""`/predict_batch` with CSV, Arrow streams and Parquet: the same answers as JSON, in the requested format."""

import json
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import httpx
import pyarrow as pa
import pytest
from tests.support.server import FLOWER, LOAN, OTHER_FLOWER, SPECIES, Serve, Server
from tests.support.table_bodies import ARROW, CSV, PARQUET, as_arrow, as_csv, as_parquet, read_table
from tests.support.trained_bundles import BundleOf

from windlass.core.bundle import Bundle

JSON = "application/json"
SECRET = "hunter2-4111111111111111"
FLOWERS = [FLOWER, OTHER_FLOWER]


WRITERS: dict[str, Callable[[pa.Table], bytes]] = {
    CSV: as_csv,
    ARROW: as_arrow,
    PARQUET: as_parquet,
}


def post(server: Server, body: bytes, kind: str, accept: str = "*/*") -> httpx.Response:
    headers = {"content-type": kind, "accept": accept}
    return server.client.post("/predict_batch", content=body, headers=headers)


@pytest.fixture(scope="module")
def loans(bundle_of: BundleOf) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = Bundle.open(bundle_of("mixed")).json("golden.json")["rows"]
    return rows


def typed(rows: list[dict[str, Any]]) -> pa.Table:
    days = [row["opened"] and date.fromisoformat(row["opened"]) for row in rows]
    return pa.Table.from_pylist(
        [row | {"opened": day} for row, day in zip(rows, days, strict=True)]
    )


@pytest.mark.parametrize("kind", WRITERS)
@pytest.mark.parametrize("accept", ["*/*", "", CSV, ARROW, PARQUET])
def test_a_table_is_answered_as_json_is(iris_server: Server, kind: str, accept: str) -> None:
    expected = iris_server.client.post("/predict_batch", json=FLOWERS).json()
    answer = post(iris_server, WRITERS[kind](pa.Table.from_pylist(FLOWERS)), kind, accept)
    assert answer.headers["content-type"] == (accept if accept not in ("*/*", "") else kind)
    assert answer.headers["x-model-version"] == expected["model_version"]
    assert answer.headers["x-prediction-id"]
    table = read_table(answer)
    assert table.column_names == ["prediction", *(f"probability_{label}" for label in SPECIES)]
    assert table["prediction"].to_pylist() == expected["predictions"]
    for label in SPECIES:
        shares = [row[label] for row in expected["class_probabilities"]]
        assert table[f"probability_{label}"].to_pylist() == pytest.approx(shares, abs=1e-15)


@pytest.mark.parametrize("kind", WRITERS)
@pytest.mark.parametrize("accept", [JSON, f"{JSON};q=0.9, text/csv;q=0.1", "application/*"])
def test_a_table_answered_in_json(iris_server: Server, kind: str, accept: str) -> None:
    expected = iris_server.client.post("/predict_batch", json=FLOWERS).json()
    answer = post(iris_server, WRITERS[kind](pa.Table.from_pylist(FLOWERS)), kind, accept).json()
    assert answer.keys() == expected.keys()
    for key in ("predictions", "class_probabilities", "model_version"):
        assert answer[key] == expected[key]


@pytest.mark.parametrize("kind", WRITERS)
def test_mixed_columns_with_nulls(
    mixed_server: Server, loans: list[dict[str, Any]], kind: str
) -> None:
    expected = mixed_server.client.post("/predict_batch", json=loans).json()
    answer = post(mixed_server, WRITERS[kind](typed(loans)), kind, JSON).json()
    assert answer["predictions"] == expected["predictions"]
    assert answer["class_probabilities"] == expected["class_probabilities"]


def test_columns_in_any_order_and_a_default_left_out(mixed_server: Server) -> None:
    table = typed([LOAN]).drop_columns("housing").select(["opened", "age", "city", "grade",
                                                          "employed", "children", "income"])  # fmt: skip
    expected = mixed_server.client.post("/predict_batch", json=[LOAN]).json()
    answer = post(mixed_server, as_csv(table), CSV, JSON).json()
    assert answer["class_probabilities"] == expected["class_probabilities"]


@pytest.mark.parametrize("kind", WRITERS)
def test_a_bad_cell_is_named_and_not_echoed(iris_server: Server, kind: str) -> None:
    table = pa.Table.from_pylist([FLOWER, FLOWER | {"petal_width": 99.123456}])
    answer = post(iris_server, WRITERS[kind](table), kind)
    assert answer.status_code == 422
    assert [fault["loc"] for fault in answer.json()["errors"]] == [[1, "petal_width"]]
    assert "99.123456" not in answer.text


@pytest.mark.parametrize("kind", WRITERS)
def test_a_column_too_few_or_too_many(iris_server: Server, kind: str) -> None:
    flowers = pa.Table.from_pylist(FLOWERS)
    lacking = post(iris_server, WRITERS[kind](flowers.drop_columns("petal_width")), kind)
    assert lacking.status_code == 422
    assert "petal_width" in lacking.json()["errors"][0]["msg"]
    more = post(iris_server, WRITERS[kind](flowers.append_column("colour", [[SECRET] * 2])), kind)
    assert more.status_code == 422
    assert "colour" not in more.text
    assert SECRET not in more.text


@pytest.mark.parametrize("kind", WRITERS)
def test_no_rows(iris_server: Server, kind: str) -> None:
    empty = pa.Table.from_pylist(FLOWERS).slice(0, 0)
    answer = post(iris_server, WRITERS[kind](empty), kind)
    assert answer.status_code == 422
    assert answer.json()["errors"] == [{"loc": [], "msg": "At least one row is needed"}]


@pytest.mark.parametrize("kind", WRITERS)
def test_what_cannot_be_read_is_400_and_not_echoed(iris_server: Server, kind: str) -> None:
    whole = WRITERS[kind](pa.Table.from_pylist(FLOWERS * 20))
    bodies = [b"", b"\x00" * 100, SECRET.encode() * 3, whole[: len(whole) // 2], whole[:9]]
    bodies += [
        b'a,b\n"' + SECRET.encode(),
        b"a,b\n1,2," + SECRET.encode(),
        b"a,a\n1,2\n",
        b"\xff\xfea,b\n1,2",
    ]
    bodies += [b"sepal_length,\xff\n1,2\n", b"sepal_length,sepal_width\n\xff\xff,1,2,3,4\n"]
    for body in bodies:
        answer = post(iris_server, body, kind)
        assert answer.status_code in (400, 422), (body, answer.text)
        assert SECRET not in answer.text


HEADER = ",".join(FLOWER)
ROW = ",".join(map(str, FLOWER.values()))


@pytest.mark.parametrize(
    ("lines", "reason"),
    [
        ([HEADER, ROW, f"{ROW},{SECRET}"], "line 3 has 5 cells, the header names 4. Correct it."),
        ([HEADER, ROW, f'1,2,3,"{SECRET}', ROW], "line 3 opens a quote that is never closed. Close it."),
        ([f"{SECRET},b,{SECRET}", "1,2,3"], "columns 1, 3 have the same name. Name each column once."),
        ([HEADER, ROW, SECRET * 40_000, ROW], "a line is longer than 256 KiB. Check its quotes."),
        ([HEADER], "no line follows the header. Write the column names in a line, and each row in one."),
        ([""], "it is empty. The first line names the columns."),
        (["a\0,b", "1,2"], "it is not UTF-8. Save it as CSV in UTF-8, not compressed."),
    ],
    ids=["cells", "quote", "columns", "line", "header", "empty", "encoding"],
)  # fmt: skip
def test_the_answer_gives_the_reason_for_unreadable_csv(
    iris_server: Server, lines: list[str], reason: str
) -> None:
    answer = post(iris_server, "\n".join(lines).encode(), CSV)
    assert answer.status_code == 400
    detail = f"The body cannot be read as a table in the form csv: {reason}"
    assert answer.json()["detail"] == detail
    assert SECRET not in answer.text


def test_rows_behind_a_quote_that_is_not_closed_are_not_left_unanswered(
    iris_server: Server,
) -> None:
    rows = [ROW] * 1000
    rows[3] = f'{ROW.rpartition(",")[0]},"0.2'
    answer = post(iris_server, "\n".join([HEADER, *rows, ""]).encode(), CSV)
    assert answer.status_code == 400
    assert "line 5 opens a quote" in answer.json()["detail"]


def test_every_byte_of_a_table_may_be_wrong(iris_server: Server) -> None:
    for kind in (ARROW, PARQUET):
        whole = bytearray(WRITERS[kind](pa.Table.from_pylist(FLOWERS)))
        for offset in range(0, len(whole), 7):
            altered = (
                bytes(whole[:offset]) + bytes([whole[offset] ^ 0xFF]) + bytes(whole[offset + 1 :])
            )
            assert post(iris_server, altered, kind).status_code in (200, 400, 413, 422), (
                kind,
                offset,
            )


def test_few_bytes_of_very_many_rows_are_refused(serve: Serve, iris: Path) -> None:
    server = serve(iris, WINDLASS_MAX_BODY_MB="0.5")
    flowers = pa.table(
        {name: pa.repeat(pa.scalar(value), 2_000_000) for name, value in FLOWER.items()}
    )
    body = as_parquet(flowers)
    assert len(body) < server.client.post("/predict", json=FLOWER).num_bytes_downloaded * 1000
    assert post(server, body, PARQUET).status_code == 413


@pytest.mark.parametrize("accept", ["text/html", "image/png, application/xml"])
def test_an_answer_in_another_form_is_406(iris_server: Server, accept: str) -> None:
    answer = post(iris_server, as_csv(pa.Table.from_pylist(FLOWERS)), CSV, accept)
    assert answer.status_code == 406
    assert answer.headers["content-type"] == "application/problem+json"


def test_a_table_on_the_route_of_one_row_is_refused(iris_server: Server) -> None:
    body = as_csv(pa.Table.from_pylist([FLOWER]))
    answer = iris_server.client.post("/predict", content=body, headers={"content-type": CSV})
    assert answer.status_code == 415


def test_a_table_of_many_chunks(iris_server: Server) -> None:
    rows = 70_000
    flowers = pa.Table.from_pylist(FLOWERS).take(pa.array([0, 1] * (rows // 2)))
    answer = read_table(post(iris_server, as_arrow(flowers), ARROW))
    assert answer["prediction"].to_pylist() == ["setosa", "virginica"] * (rows // 2)


def test_regression_and_numbers_as_labels(two_servers: Server) -> None:
    body = json.dumps([{"petal_length": 1.4, "petal_width": 0.2}])
    headers = {"content-type": JSON}
    expected = two_servers.client.post(
        "/native/predict_batch", content=body, headers=headers
    ).json()
    table = as_parquet(pa.Table.from_pylist(json.loads(body)))
    headers = {"content-type": PARQUET}
    answer = two_servers.client.post("/native/predict_batch", content=table, headers=headers)
    assert read_table(answer)["prediction"].to_pylist() == expected["predictions"] == [0]


@pytest.mark.parametrize("kind", ["text/csv", "application/vnd.apache.arrow.stream"])
def test_rows_in_json_are_answered_in_the_accepted_format(iris_server: Server, kind: str) -> None:
    rows = [FLOWER, OTHER_FLOWER]
    plain = iris_server.client.post("/predict_batch", json=rows).json()
    answer = iris_server.client.post("/predict_batch", json=rows, headers={"accept": kind})
    assert answer.headers["content-type"] == kind
    assert answer.headers["x-model-version"] == plain["model_version"]
    if kind == "text/csv":
        lines = answer.text.splitlines()[1:]
        assert [line.split(",")[0].strip('"') for line in lines] == plain["predictions"]
    else:
        table = pa.ipc.open_stream(answer.content).read_all()
        assert table["prediction"].to_pylist() == plain["predictions"]


def test_rows_in_json_have_no_answer_in_html(iris_server: Server) -> None:
    headers = {"accept": "text/html"}
    answer = iris_server.client.post("/predict_batch", json=[FLOWER], headers=headers)
    assert answer.status_code == 406
