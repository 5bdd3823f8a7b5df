"""`predict_batch` of the client: rows are cut between records, and joined in their order; none is lost."""

import json
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx
import pandas as pd
import pyarrow as pa
import pytest

import windlass
from windlass.client.batches import record_end
from windlass.core.json_rows import json_rows
from windlass.errors import ClientError, InputError, PayloadTooLargeError, UnprocessableError

LIMIT = 2000  # bytes that the server of these tests reads


class BatchServer:
    """Answers `/predict_batch` with the column x of each row, and refuses bodies over LIMIT; `requests` keeps all."""

    def __init__(self, version: Callable[[int], str] = lambda _: "v1") -> None:
        self.requests: list[httpx.Request] = []
        self._version = version

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        body = request.read()
        if len(body) > LIMIT:
            problem = {"title": "Too Large", "detail": "Send less."}
            return httpx.Response(413, json=problem)
        kind = request.headers["content-type"]
        if kind.endswith("arrow.stream"):
            values = pa.ipc.open_stream(body).read_all().column("x").to_pylist()
        elif kind == "text/csv":
            values = [line.split(";")[0] for line in body.decode().splitlines()[1:] if line]
        else:
            values = [row.get("x") for row in json.loads(body)]
        if "bad" in values:
            fault = {"loc": [values.index("bad"), "x"], "msg": "Bad"}
            return httpx.Response(422, json={"title": "Invalid", "detail": "", "errors": [fault]})
        return self._answer(values)

    def _answer(self, values: list[Any]) -> httpx.Response:
        table = pa.table({"prediction": values, "probability_a": [0.5] * len(values)})
        sink = pa.BufferOutputStream()
        with pa.ipc.new_stream(sink, table.schema) as writer:
            writer.write_table(table)
        headers = {"x-model-version": self._version(len(self.requests)), "x-prediction-id": "p"}
        return httpx.Response(200, content=sink.getvalue().to_pybytes(), headers=headers)

    @property
    def client(self) -> windlass.Client:
        """A client of this server."""
        return windlass.Client("http://server", transport=httpx.MockTransport(self))


def test_what_is_too_large_is_halved_and_answers_keep_their_order() -> None:
    server = BatchServer()
    rows = [{"x": f"row {i}"} for i in range(500)]
    answer = server.client.predict_batch(rows)
    assert answer.predictions == [row["x"] for row in rows]
    assert answer.class_probabilities == [{"a": 0.5}] * 500
    assert len(answer.prediction_ids) > 1
    assert {request.url.params.get("version") for request in server.requests[-2:]} == {"v1"}
    with pytest.raises(PayloadTooLargeError):
        server.client.predict_batch([{"x": "y" * LIMIT}])


def test_rows_at_fault_have_the_numbers_of_the_caller() -> None:
    rows = [{"x": f"row {i}"} for i in range(500)]
    rows[444] = {"x": "bad"}
    with pytest.raises(UnprocessableError) as caught:
        BatchServer().client.predict_batch(rows)
    assert caught.value.errors[0]["loc"] == [444, "x"]


def test_frames_travel_as_arrow_and_keep_their_index() -> None:
    server = BatchServer()
    frame = pd.DataFrame({"x": [1.5, 2.5]}, index=["b", "a"])
    answer = server.client.predict_batch(frame)
    assert answer.to_pandas()["prediction"].to_dict() == {"b": 1.5, "a": 2.5}
    assert server.requests[0].headers["content-type"].endswith("arrow.stream")
    assert list(answer) == [1.5, 2.5]
    assert "2 rows by v1" in answer._repr_html_()


@pytest.mark.parametrize(
    "rows",
    [
        [{"x": 1, "y": 1}, {"x": 2}],  # a missing key is not null
        [{"x": 1}, {"x": "two"}],
        [{"x": 2**60}, {"x": 0.5}],
        [{"x": pd.Timestamp("2020-01-01")}],
    ],
)
def test_rows_whose_meaning_arrow_would_change_travel_as_json(rows: list[dict[str, Any]]) -> None:
    server = BatchServer()
    with suppress(pa.ArrowException):  # the answer of this server cannot hold text beside numbers
        server.client.predict_batch(rows)
    assert server.requests[0].headers["content-type"] == "application/json"
    assert server.requests[0].read() == b"[" + b",".join(json_rows(rows)) + b"]"


def test_a_csv_file_is_cut_between_records_and_sent_as_it_is(tmp_path: Path) -> None:
    file = tmp_path / "rows.csv"
    lines = [f"row {i};{i}" for i in range(400)]
    file.write_text("\n".join(["x;n", *lines]) + "\n")
    server = BatchServer()
    answer = server.client.predict_batch(file)
    assert answer.predictions == [f"row {i}" for i in range(400)]
    bodies = [request.read() for request in server.requests if len(request.read()) <= LIMIT]
    assert b"".join(body.removeprefix(b"x;n\n") for body in bodies) == file.read_bytes()[4:]
    with pytest.raises(InputError, match="cannot be read"):
        server.client.predict_batch(tmp_path / "none.csv")
    with pytest.raises(InputError, match="an Excel file"):
        server.client.predict_batch(tmp_path / "rows.xlsx")


@pytest.mark.parametrize(
    ("text", "end"),
    [
        (b"a,b\nc", 4),
        (b'a,"x\ny",b\nc', 10),
        (b'a,"x\ny', 0),
        (b'a\n"x\ny"', 2),
        (b'"a""\n"\nb', 7),
        (b"", 0),
    ],
)
def test_a_record_ends_where_quotes_are_closed(text: bytes, end: int) -> None:
    assert record_end(text) == end


def test_a_version_that_changes_between_two_requests_is_an_error() -> None:
    server = BatchServer(lambda count: f"v{count}")
    with pytest.raises(ClientError, match="The server changed from"):
        server.client.predict_batch([{"x": f"row {i}"} for i in range(500)])


def test_fewer_answers_than_rows_are_an_error() -> None:
    class Short(BatchServer):
        def _answer(self, values: list[Any]) -> httpx.Response:
            return super()._answer(values[1:])

    with pytest.raises(ClientError, match="answered 1 of 2 rows"):
        Short().client.predict_batch([{"x": "a"}, {"x": "b"}])
    with pytest.raises(InputError, match="no rows"):
        BatchServer().client.predict_batch([])
