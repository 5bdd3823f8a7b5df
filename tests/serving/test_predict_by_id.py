"""Prediction by id: the same as for the row of features, and in the ledger without the id."""

import re
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from tests.support.loan_view import PROJECT_VIEW
from tests.support.online_clients import (
    CHILD,
    MAX_ID,
    MIN_ID,
    MISSING,
    PLAIN,
    PROJECT,
    UNKNOWN,
    declare_view,
    expected_features,
    fill_store,
)
from tests.support.problems import problem
from tests.support.registry_home import RegistryHome
from tests.support.server import Serve, Server, comparable, post
from tests.support.trained_bundles import BundleOf
from tests.support.waiting import wait_until

import windlass
from windlass.core.batch import Prediction
from windlass.core.targets.quantity import Quantity

KEYS = [
    "predicted_label",
    "prediction",
    "class_probabilities",
    "model_version",
    "latency_ms",
    "prediction_id",
]
USED = ["features", "as_of", "stale", "view_version"]


@pytest.fixture(scope="module")
def ask(clients_server: Server) -> httpx.Client:
    return clients_server.client


def ledger_of(server: Server) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = windlass.read_ledger("clients", server.home).to_pylist()
    return rows


@pytest.mark.parametrize("prefix", ["", "/clients"])
@pytest.mark.parametrize("client", [PLAIN, MISSING, MIN_ID, MAX_ID])
def test_the_prediction_of_its_features(ask: httpx.Client, prefix: str, client: int) -> None:
    answer = ask.post(f"{prefix}/predict/{client}")
    assert answer.status_code == 200
    body = answer.json()
    assert list(body) == KEYS + USED
    assert body["features"] == expected_features(client)
    assert body["stale"] is False
    assert body["view_version"] == PROJECT_VIEW.version
    row = ask.post(f"{prefix}/predict", json=body["features"]).json()
    assert body["prediction"] == body["predicted_label"] == row["prediction"]
    assert body["class_probabilities"] == pytest.approx(row["class_probabilities"], rel=1e-12)
    assert body["model_version"] == row["model_version"] == "v2"


@pytest.mark.parametrize(
    "client", [PLAIN, CHILD, MISSING, UNKNOWN, MIN_ID, MAX_ID, MAX_ID + 1, "x", "1.5", "%31"]
)
def test_a_batch_answers_as_the_handler_does(clients_server: Server, client: object) -> None:
    """A request with a query is answered by the handler."""
    together = comparable(clients_server.raw(post(f"/predict/{client}", b"")))
    alone = comparable(clients_server.raw(post(f"/predict/{client}?&", b"")))
    assert together == alone


def test_the_timing_has_features(ask: httpx.Client) -> None:
    timing = ask.post(f"/predict/{PLAIN}").headers["server-timing"]
    assert re.fullmatch(r"parse;dur=\d+\.\d+, features;dur=\d+\.\d+, model;dur=\d+\.\d+", timing)


def test_another_version(ask: httpx.Client) -> None:
    assert ask.post(f"/predict/{PLAIN}?version=v1").json()["model_version"] == "v1"
    assert ask.post("/predict_by_id?version=v1", json=[PLAIN]).json()["model_version"] == "v1"
    problem(ask.post(f"/predict/{PLAIN}?version=v9"), 404)
    problem(ask.post("/predict_by_id?version=v9", json=[PLAIN]), 404)


def test_an_unknown_id_is_404_and_features_that_do_not_fit_are_409(ask: httpx.Client) -> None:
    answer = ask.post(f"/predict/{UNKNOWN}")
    problem(answer, 404)
    assert str(UNKNOWN) not in answer.text
    refused = problem(ask.post(f"/predict/{CHILD}"), 409)
    assert "do not fit the row of version v2" in refused["detail"]
    assert [fault["loc"] for fault in refused["errors"]] == [["age"]]


@pytest.mark.parametrize("named", [True, False])
def test_results_have_the_order_of_the_ids(ask: httpx.Client, named: bool) -> None:
    ids = [MISSING, UNKNOWN, PLAIN, CHILD, MISSING]
    body = ask.post("/predict_by_id", json={"ids": ids} if named else ids).json()
    assert list(body) == ["results", "model_version", "latency_ms", "prediction_id"]
    results = body["results"]
    assert [result["id"] for result in results] == ids
    assert results[1] == {"id": UNKNOWN, "prediction": None, "error": "unknown"}
    (fault,) = results[3].pop("errors")
    assert fault["loc"] == ["age"]
    assert results[3] == {"id": CHILD, "prediction": None, "error": "unfit"}
    for at, row in ((0, 0), (2, 1), (4, 2)):
        result, alone = results[at], ask.post(f"/predict/{ids[at]}").json()
        assert result["prediction_id"] == f"{body['prediction_id']}.{row}"
        assert result["class_probabilities"] == pytest.approx(
            alone["class_probabilities"], rel=1e-12
        )
        assert {name: result[name] for name in USED} == {name: alone[name] for name in USED}


def test_a_list_of_unknown_ids_is_answered(ask: httpx.Client, clients_server: Server) -> None:
    before = len(ledger_of(clients_server))
    body = ask.post("/predict_by_id", json=[UNKNOWN, CHILD]).json()
    assert [result["error"] for result in body["results"]] == ["unknown", "unfit"]
    assert len(ledger_of(clients_server)) == before


def test_a_thousand_ids_are_answered(ask: httpx.Client) -> None:
    ids = [*range(10**6, 10**6 + 1000), UNKNOWN]
    results = ask.post("/predict_by_id", json=ids).json()["results"]
    assert [result["id"] for result in results] == ids
    assert len({result["prediction"] for result in results[:-1]}) == 1
    assert results[-1]["error"] == "unknown"


def test_the_ledger_has_the_features_and_no_id(ask: httpx.Client, clients_server: Server) -> None:
    single = ask.post(f"/predict/{PLAIN}").json()
    answer = ask.post("/predict_by_id", json=[UNKNOWN, MISSING, PLAIN])
    many = answer.json()
    rows = {row["prediction_id"]: row for row in ledger_of(clients_server)}
    for answered in (single, many["results"][1], many["results"][2]):
        row = rows[answered["prediction_id"]]
        assert {name: row[name] for name in answered["features"]} == answered["features"]
        assert row["prediction"] == answered["prediction"]
        assert row["model_version"] == "v2"
    content = b"".join(
        file.read_bytes() for file in (clients_server.home / "ledger/clients").iterdir()
    )
    assert str(PLAIN).encode() not in content
    request_id = answer.headers["x-request-id"]
    wait_until(lambda: request_id in clients_server.log.read_text(), "its line in the log")
    assert str(PLAIN) not in clients_server.log.read_text()


def test_every_prediction_is_counted(ask: httpx.Client) -> None:
    before = ask.get("/status").json()["predictions"]
    ask.post(f"/predict/{PLAIN}")
    ask.post("/predict_by_id", json=[MISSING, UNKNOWN, PLAIN])
    ask.post(f"/predict/{UNKNOWN}")
    assert ask.get("/status").json()["predictions"] == before + 3


def test_a_body_beside_the_id_is_not_read(ask: httpx.Client) -> None:
    for content in (b"{}", b"no json", b"x" * 200_000):
        assert ask.post(f"/predict/{PLAIN}", content=content).status_code == 200


def test_a_quantity_has_no_label() -> None:
    answers = Quantity("y").row_answers(Prediction(values=np.array([1.5, 2.5])))
    assert answers == [{"prediction": 1.5}, {"prediction": 2.5}]


def test_nothing_is_live_and_features_are_answered_all_the_same(
    serve: Serve, tmp_path: Path, bundle_of: BundleOf
) -> None:
    registry_home = RegistryHome(tmp_path / "home")
    registry_home.add(bundle_of("clients"), str(PROJECT))
    declare_view(registry_home)
    fill_store(registry_home.settings)
    registry_home.close()
    server = serve(PROJECT, home=registry_home.home, ready=False, options=["--no-worker"])
    server.wait("/readyz", 503)
    server.wait(f"/features/{PLAIN}")
    wait_until(
        lambda: "windlass approve" in server.client.get("/readyz").text, "asked the registry"
    )
    for path, body in ((f"/predict/{PLAIN}", None), ("/predict_by_id", [PLAIN])):
        answer = server.client.post(path, json=body)
        assert "windlass approve clients" in problem(answer, 503)["detail"]
    assert server.client.get("/openapi.json").status_code == 200
