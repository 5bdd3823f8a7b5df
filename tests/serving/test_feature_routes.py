"""Features over HTTP: of one entity, of many, in Feast's protocol, and errors."""

from typing import Any

import httpx
import pytest
from tests.support.loan_view import FEATURES, PROJECT_VIEW
from tests.support.online_clients import (
    CHILD,
    MAX_ID,
    MIN_ID,
    MISSING,
    PLAIN,
    UNKNOWN,
    expected_features,
)
from tests.support.problems import problem
from tests.support.server import Server

ROUTES = [
    ("GET", "/features/1"), ("POST", "/features"), ("POST", "/get-online-features"), ("POST", "/predict/1"),
    ("POST", "/predict_by_id"),
]  # fmt: skip
NO_IDS = [
    "abc", "1.5", "1e3", "+5", "0x10", "1_000", "٣", "--1", "-", "true", "null", str(MAX_ID + 1), str(MIN_ID - 1),
    "9" * 40, "%20", "5%00",
]  # fmt: skip
NO_LISTS: list[Any] = [
    {}, [], {"ids": []}, {"ids": 5}, {"ids": [1], "more": 1}, {"id": [1]}, [1.5], [1.0], [True], ["1"], [None], [[1]],
    [MAX_ID + 1], [MIN_ID - 1], [10**30], "5", 5, [1] * 10_001,
]  # fmt: skip


@pytest.fixture(scope="module")
def ask(clients_server: Server) -> httpx.Client:
    return clients_server.client


@pytest.mark.parametrize("prefix", ["", "/clients"])
@pytest.mark.parametrize("client", [PLAIN, MISSING, CHILD, MIN_ID, MAX_ID])
def test_the_features_of_an_entity(ask: httpx.Client, prefix: str, client: int) -> None:
    answer = ask.get(f"{prefix}/features/{client}")
    assert answer.status_code == 200
    body = answer.json()
    assert list(body) == [
        "id", "features", "as_of", "computed_at", "stale", "view", "view_version",
    ]  # fmt: skip
    assert body["id"] == client
    assert list(body["features"]) == list(FEATURES)
    assert body["features"] == expected_features(client)
    assert body["stale"] is False
    assert (body["view"], body["view_version"]) == ("clients", PROJECT_VIEW.version)
    assert "features;dur=" in answer.headers["server-timing"]


def test_days_and_moments(ask: httpx.Client) -> None:
    body = ask.get(f"/features/{PLAIN}").json()
    assert body["as_of"] == "2020-12-30"
    assert body["computed_at"] == "2026-11-20T10:30:00Z"


def test_what_is_missing_is_null(ask: httpx.Client) -> None:
    features = ask.get(f"/features/{MISSING}").json()["features"]
    missing = [name for name, value in features.items() if value is None]
    assert missing == ["avg_amount_loans_previous", "years_on_the_job", "flag_own_car"]


def test_an_unknown_id_is_404_and_not_echoed(ask: httpx.Client) -> None:
    answer = ask.get(f"/features/{UNKNOWN}")
    problem(answer, 404)
    assert str(UNKNOWN) not in answer.text


@pytest.mark.parametrize("method_path", [("GET", "/features/"), ("POST", "/predict/")])
@pytest.mark.parametrize("text", NO_IDS)
def test_invalid_ids_are_refused(
    ask: httpx.Client, method_path: tuple[str, str], text: str
) -> None:
    method, path = method_path
    answer = ask.request(method, f"{path}{text}")
    (fault,) = problem(answer, 422)["errors"]
    assert fault["loc"] == ["id"]
    assert len(answer.content) < 400


@pytest.mark.parametrize("named", [True, False])
def test_results_have_the_order_of_the_ids(ask: httpx.Client, named: bool) -> None:
    ids = [MISSING, UNKNOWN, PLAIN, MISSING, MAX_ID]
    answer = ask.post("/features", json={"ids": ids} if named else ids)
    assert answer.status_code == 200
    results = answer.json()["results"]
    assert [result["id"] for result in results] == ids
    assert results[1] == {"id": UNKNOWN, "features": None, "error": "unknown"}
    for result in (0, 2, 3, 4):
        assert results[result] == ask.get(f"/features/{ids[result]}").json()


def test_the_maximum_of_ids_is_answered(ask: httpx.Client) -> None:
    ids = list(range(10**6 + 9_999, 10**6 - 1, -1))
    results = ask.post("/features", json=ids).json()["results"]
    assert [result["id"] for result in results] == ids
    assert all(result["features"]["nb_previous_loans"] == 4 for result in results)


@pytest.mark.parametrize("path", ["/features", "/predict_by_id"])
@pytest.mark.parametrize("body", NO_LISTS, ids=lambda body: str(body)[:30])
def test_invalid_lists_of_ids_are_refused(ask: httpx.Client, path: str, body: Any) -> None:
    answer = ask.post(path, json=body)
    assert problem(answer, 422)["errors"]
    assert len(answer.content) < 500


@pytest.mark.parametrize("at", ["latest", "next"])
def test_the_event_may_be_chosen(ask: httpx.Client, at: Any) -> None:
    expected = expected_features(PLAIN, at=at)
    assert expected["nb_previous_loans"] == {"latest": 3, "next": 4}[at]
    alone = ask.get(f"/features/{PLAIN}?at={at}").json()
    assert alone["features"] == expected
    assert alone["as_of"] == "2020-12-30"
    several = ask.post(f"/features?at={at}", json=[PLAIN, UNKNOWN]).json()["results"]
    assert several[0] == alone
    long = ask.post(f"/features?at={at}", json=[PLAIN] * 300).json()["results"]  # on the thread
    assert long == [alone] * 300
    predicted = ask.post(f"/predict/{PLAIN}?at={at}").json()
    assert predicted["features"] == expected
    (listed,) = ask.post(f"/predict_by_id?at={at}", json=[PLAIN]).json()["results"]
    assert listed["features"] == expected
    body = {"features": ["clients:nb_previous_loans"], "entities": {"id": [PLAIN]}}
    _, loans = ask.post(f"/get-online-features?at={at}", json=body).json()["results"]
    assert loans["values"] == [expected["nb_previous_loans"]]


@pytest.mark.parametrize(("method", "path"), ROUTES)
@pytest.mark.parametrize("at", ["", "newest", "2020-12-30"])
def test_another_event_is_refused(ask: httpx.Client, method: str, path: str, at: str) -> None:
    answer = ask.request(method, f"{path}?at={at}", json=[PLAIN] if method == "POST" else None)
    (fault,) = problem(answer, 422)["errors"]
    assert fault == {"loc": ["at"], "msg": "Input should be 'latest' or 'next'"}


@pytest.mark.parametrize("path", ["/features", "/predict_by_id", "/get-online-features"])
def test_bodies_that_are_no_json_are_refused(ask: httpx.Client, path: str) -> None:
    headers = {"content-type": "application/json"}
    for body in (b"", b"[1", b"{", b"\xff", b"[1]]"):
        problem(ask.post(path, content=body, headers=headers), 400)
    problem(ask.post(path, content=b"[1]", headers={"content-type": "text/csv"}), 415)


def test_requests_of_feast_are_answered(ask: httpx.Client) -> None:
    body = {
        "features": ["clients:flag_own_car", "clients:nb_previous_loans"],
        "entities": {"id": [PLAIN, MISSING, UNKNOWN]},
    }
    answer = ask.post("/get-online-features", json=body).json()
    assert answer["metadata"] == {"feature_names": ["id", "flag_own_car", "nb_previous_loans"]}
    ids, car, loans = answer["results"]
    assert ids["values"] == [PLAIN, MISSING, UNKNOWN]
    assert car["values"] == [1, None, None]
    assert car["statuses"] == ["PRESENT", "NULL_VALUE", "NOT_FOUND"]
    assert loans["values"] == [4, 1, None]
    assert loans["event_timestamps"] == [
        "2020-12-30T00:00:00Z", "2019-06-01T00:00:00Z", "1970-01-01T00:00:00Z",
    ]  # fmt: skip
    full = ask.post("/get-online-features", json={**body, "full_feature_names": True}).json()
    assert full["metadata"]["feature_names"][1] == "clients__flag_own_car"


@pytest.mark.parametrize(
    "change",
    [
        {"features": ["clients:income"]}, {"features": ["loans:age"]}, {"features": []}, {"entities": {}},
        {"entities": {"client": [1]}}, {"entities": {"id": ["1"]}}, {"entities": {"id": []}}, {"feature_service": "x"},
        {"full_feature_names": "yes"},
    ],
    ids=str,
)  # fmt: skip
def test_invalid_requests_of_feast_are_refused(ask: httpx.Client, change: dict[str, Any]) -> None:
    body = {"features": ["clients:age"], "entities": {"id": [PLAIN]}, **change}
    assert problem(ask.post("/get-online-features", json=body), 422)["errors"]


def test_an_answer_of_feast_has_a_limit_of_values(ask: httpx.Client) -> None:
    body = {"features": ["clients:age"] * 1000, "entities": {"id": [PLAIN] * 1001}}
    assert "1000000 values" in problem(ask.post("/get-online-features", json=body), 413)["detail"]


@pytest.mark.parametrize(("method", "path"), ROUTES)
def test_other_methods(ask: httpx.Client, method: str, path: str) -> None:
    other = "PUT" if method == "GET" else "GET"
    answer = ask.request(other, path)
    problem(answer, 405)
    assert answer.headers["allow"] == ("GET, HEAD" if method == "GET" else "POST")


@pytest.mark.parametrize(("method", "path"), ROUTES)
def test_a_project_without_a_view_has_none_of_it(
    iris_server: Server, method: str, path: str
) -> None:
    for prefix in ("", "/iris"):
        problem(iris_server.client.request(method, f"{prefix}{path}", json=[1]), 404)
    paths = iris_server.client.get("/openapi.json").json()["paths"]
    assert not [path for path in paths if "features" in path or "id" in path]


def test_status_says_how_fresh_they_are(ask: httpx.Client) -> None:
    status = ask.get("/status").json()["features"]
    assert (status["view"], status["view_version"], status["reason"]) == (
        "clients", PROJECT_VIEW.version, None,
    )  # fmt: skip
    materialised = status["materialised"]
    assert materialised.pop("materialised_at") > 0
    assert materialised == {
        "snapshot": 1,
        "view_version": PROJECT_VIEW.version,
        "newest_event": "2020-12-30",
        "entities": 10_005,
        "stale": False,
    }


def reads_of(ask: httpx.Client) -> dict[str, float]:
    lines = [
        line for line in ask.get("/metrics").text.splitlines() if "feature_reads_total{" in line
    ]
    labels = [line.partition('result="')[2].partition('"')[::2] for line in lines]
    return {name: float(rest.split()[-1]) for name, rest in labels}


def test_metrics(ask: httpx.Client) -> None:
    before = reads_of(ask)
    ask.post("/features", json=[PLAIN, UNKNOWN, UNKNOWN])
    ask.get(f"/features/{PLAIN}")
    ask.get(f"/features/{UNKNOWN}")
    ask.post(f"/predict/{PLAIN}")
    after = reads_of(ask)
    counted = {name: after[name] - before[name] for name in after}
    assert counted == {"found": 3, "unknown": 3, "failed": 0}
    text = ask.get("/metrics").text
    assert 'windlass_features_snapshot{project="clients"} 1.0' in text
    assert 'windlass_features_entities{project="clients"} 10005.0' in text
    assert 'windlass_features_stale{project="clients"} 0.0' in text
    newest = 'windlass_features_newest_event_timestamp_seconds{project="clients"} 1.6092'
    assert newest in text
    assert 'windlass_features_materialised_timestamp_seconds{project="clients"}' in text
    assert 'route="/features/{id}"' in text
    assert str(UNKNOWN) not in text
