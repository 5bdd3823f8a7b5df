"""Invalid requests: their status, the named field, and no echo of what was sent."""

import json
from typing import Any

import httpx
import pytest
from tests.support.server import FLOWER, LOAN, Server

SECRET = "hunter2-4111111111111111"
FIELDS = list(FLOWER)


def post(server: Server, path: str, body: bytes, kind: str = "application/json") -> httpx.Response:
    headers = {"content-type": kind} if kind else {}
    return server.client.post(path, content=body, headers=headers)


def locations(answer: httpx.Response) -> list[list[Any]]:
    assert answer.status_code == 422, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    return [fault["loc"] for fault in answer.json()["errors"]]


def flower(**changes: Any) -> dict[str, Any]:
    return FLOWER | changes


def without(name: str) -> dict[str, Any]:
    return {field: value for field, value in FLOWER.items() if field != name}


@pytest.mark.parametrize("name", FIELDS)
def test_a_missing_field_is_named(iris_server: Server, name: str) -> None:
    answer = iris_server.client.post("/predict", json=without(name))
    assert locations(answer) == [[name]]
    assert answer.json()["errors"][0]["msg"] == "Field required"
    batch = iris_server.client.post("/predict_batch", json=[FLOWER, without(name)])
    assert locations(batch) == [[1, name]]


def test_every_fault_is_named(iris_server: Server) -> None:
    answer = iris_server.client.post("/predict", json={"sepal_length": SECRET, "colour": SECRET})
    assert sorted(locations(answer)) == [[], *sorted([name] for name in FIELDS)]
    assert SECRET not in answer.text


@pytest.mark.parametrize(
    "value", [SECRET, "5.1", None, True, [5.1], {"a": 5.1}, -1, 0.09, 15.01, 1e300]
)
def test_a_bad_value_is_named_and_not_echoed(iris_server: Server, value: Any) -> None:
    answer = iris_server.client.post("/predict", json=flower(petal_width=value))
    assert locations(answer) == [["petal_width"]]
    assert SECRET not in answer.text
    assert "1e+300" not in answer.text


@pytest.mark.parametrize("token", ["NaN", "Infinity", "-Infinity", "1e999", "-1e999"])
@pytest.mark.parametrize("path", ["/predict", "/predict_batch"])
def test_numbers_that_are_none(iris_server: Server, token: str, path: str) -> None:
    text = json.dumps(FLOWER).replace("1.4", token)
    body = text if path == "/predict" else f"[{text}]"
    answer = post(iris_server, path, body.encode())
    assert locations(answer)[0][-1] == "petal_length"


@pytest.mark.parametrize("token", ["NaN", "Infinity", "-Infinity", "1e999", "-1e999"])
def test_a_number_that_is_none_is_no_missing_value(mixed_server: Server, token: str) -> None:
    """A column that may be null takes null, and nothing else, through every protocol."""
    row = json.dumps(LOAN).replace("16106.26", token)
    assert locations(post(mixed_server, "/predict", row.encode())) == [["income"]]
    for path, body in {
        "/v1/models/mixed:predict": f'{{"instances":[{row}]}}',
        "/invocations": f'{{"dataframe_records":[{row}]}}',
    }.items():
        assert post(mixed_server, path, body.encode()).status_code in (400, 422), path


@pytest.mark.parametrize("value", [True, "6", None, 1.5, [], SECRET])
def test_strict_integers(mixed_server: Server, value: Any) -> None:
    answer = mixed_server.client.post("/predict", json=LOAN | {"age": value})
    assert locations(answer) == [["age"]]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("employed", 1), ("employed", "true"), ("grade", "D"), ("grade", ""), ("housing", None),
        ("city", ""), ("city", "x" * 257), ("city", 5), ("opened", "2000-02-30"), ("opened", 20000),
        ("opened", "2000-01-01T00:00:00"), ("opened", "1949-12-31"), ("children", 21), ("income", -0.01),
    ],
)  # fmt: skip
def test_each_kind_of_column(mixed_server: Server, name: str, value: Any) -> None:
    assert locations(mixed_server.client.post("/predict", json=LOAN | {name: value})) == [[name]]


def test_null_and_default(mixed_server: Server) -> None:
    nullable = ("income", "children", "employed", "grade", "city", "opened")
    nothing = LOAN | dict.fromkeys(nullable)
    assert mixed_server.client.post("/predict", json=nothing).status_code == 200
    left_out = {name: value for name, value in LOAN.items() if name != "housing"}
    defaulted = mixed_server.client.post("/predict", json=left_out).json()
    given = mixed_server.client.post("/predict", json=LOAN).json()
    assert defaulted["class_probabilities"] == given["class_probabilities"]


BROKEN = [
    b"", b" ", b"{", b'{"sepal_length":', b"nothing", b"{'a': 1}", b'{"a":1}}', b"[1,", b"\xff\xfe", b"\x00",
    b'{"a":"\xff"}', b'{"a":"\\ud800"}', b'{"a":01}', b'{"a":1,}', b"[" * 60_000, b'{"a":' * 12_000,
    b"\xef\xbb\xbf{}", b"NaNN", b'{"a":"\x01"}', b"\x1f\x8b\x08\x00\x00", json.dumps(FLOWER).encode("utf-16"),
]  # fmt: skip


@pytest.mark.parametrize("body", BROKEN, ids=lambda body: repr(body[:12]))
@pytest.mark.parametrize(
    "path", ["/predict", "/predict_batch", "/invocations", "/v1/models/iris:predict",
             "/v2/models/iris/infer"],
)  # fmt: skip
def test_what_is_no_json_is_400(iris_server: Server, path: str, body: bytes) -> None:
    answer = post(iris_server, path, body)
    assert answer.status_code == 400, answer.text
    assert answer.json().keys() >= ({"error"} if "v2" in path else {"detail"})


@pytest.mark.parametrize("body", [b"null", b"1", b'"x"', b"true", b"[]", b"[[]]", b"NaN"])
def test_json_of_another_shape_is_422(iris_server: Server, body: bytes) -> None:
    assert locations(post(iris_server, "/predict", body))


@pytest.mark.parametrize("body", [b"null", b"1", b"{}", b"[]", b"[null]", b"[[]]", b"[1, 2]"])
def test_a_batch_of_another_shape_is_422(iris_server: Server, body: bytes) -> None:
    answer = post(iris_server, "/predict_batch", body)
    assert answer.status_code == 422
    assert answer.json()["errors"]


@pytest.mark.parametrize(
    "kind", ["text/plain", "application/xml", "application/jsonx", "text/json", "x"]
)
def test_another_content_type_is_415(iris_server: Server, kind: str) -> None:
    for path in ("/predict", "/predict_batch", "/invocations", "/v1/models/iris:predict"):
        answer = post(iris_server, path, b"{}", kind)
        assert answer.status_code == 415, path
        assert "application/json" in answer.json()["detail"]


@pytest.mark.parametrize(
    "kind", ["application/json", "application/json; charset=utf-8", "APPLICATION/JSON", ""]
)
def test_content_types_of_json(iris_server: Server, kind: str) -> None:
    assert post(iris_server, "/predict", json.dumps(FLOWER).encode(), kind).status_code == 200


def test_a_field_that_is_given_twice(iris_server: Server) -> None:
    body = json.dumps(FLOWER)[:-1].encode()
    for value in (b"0.2", b'"x"'):
        answer = post(iris_server, "/predict", body + b', "petal_width": %b}' % value)
        assert locations(answer) == [["petal_width"]]


def test_names_that_are_not_declared_are_not_sent_back(iris_server: Server) -> None:
    for name in (SECRET, SECRET * 1000):
        answer = iris_server.client.post("/predict", json=flower(**{name: 1}))
        assert locations(answer) == [[]]
        assert SECRET not in answer.text
        assert len(answer.content) < 1000
    for name in (SECRET, SECRET * 10_000):
        batch = iris_server.client.post("/predict_batch", json=[FLOWER, flower(**{name: 1})])
        assert locations(batch) == [[1]]
        assert SECRET not in batch.text


def test_ten_thousand_unknown_fields_give_a_short_answer(iris_server: Server) -> None:
    answer = iris_server.client.post("/predict", json=flower(**{f"f{i}": 1 for i in range(5000)}))
    assert locations(answer) == [[]]
    rows = iris_server.client.post("/predict_batch", json=[{}] * 10_000)
    assert len(locations(rows)) == 100


def test_an_integer_of_a_million_digits(iris_server: Server, mixed_server: Server) -> None:
    digits = b"9" * 1_000_000
    body = json.dumps(FLOWER).encode().replace(b"1.4", digits)
    assert post(iris_server, "/predict", body).status_code == 413
    assert post(iris_server, "/predict_batch", b"[%b]" % body).status_code == 413
    digits = b"9" * 10_000
    body = json.dumps(FLOWER).encode().replace(b"1.4", digits)
    assert post(iris_server, "/predict", body).status_code in (400, 422)
    body = json.dumps(LOAN).encode().replace(b'"age": 25', b'"age": ' + digits)
    assert post(mixed_server, "/predict", body).status_code in (400, 422)
