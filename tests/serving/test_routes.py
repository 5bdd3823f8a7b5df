"""Routes of a server of one project: answers, headers and errors."""

import re
from pathlib import Path
from typing import Any

import pytest
from tests.support.problems import problem
from tests.support.server import FLOWER, OTHER_FLOWER, SPECIES, Serve, Server

import windlass
from windlass.core.bundle import Bundle

GETS = [
    "/health", "/livez", "/readyz", "/ping", "/version", "/status", "/metrics", "/docs", "/openapi.json",
    "/iris/status", "/v1/models", "/v1/models/iris", "/v2", "/v2/health/live", "/v2/health/ready",
    "/v2/models/iris", "/v2/models/iris/ready",
]  # fmt: skip
POSTS = [
    "/predict", "/predict_batch", "/iris/predict", "/iris/predict_batch", "/invocations",
    "/v1/models/iris:predict", "/v2/models/iris/infer",
]  # fmt: skip
TIMING = re.compile(r"\w+;dur=\d+\.\d+(, \w+;dur=\d+\.\d+)*").fullmatch


@pytest.fixture(scope="module")
def version(iris: Path) -> str:
    return Bundle.open(iris).version


def test_health(iris_server: Server) -> None:
    for path in ("/health", "/livez"):
        assert iris_server.client.get(path).json() == {"status": "ok"}
    assert iris_server.client.get("/readyz").json() == {"status": "ready"}


def test_predict(iris_server: Server, version: str) -> None:
    for path in ("/predict", "/iris/predict"):
        answer = iris_server.client.post(path, json=FLOWER)
        assert answer.status_code == 200
        body = answer.json()
        assert list(body) == [
            "predicted_label", "prediction", "class_probabilities", "model_version", "latency_ms",
            "prediction_id",
        ]  # fmt: skip
        assert body["predicted_label"] == body["prediction"] == "setosa"
        assert list(body["class_probabilities"]) == SPECIES
        assert sum(body["class_probabilities"].values()) == pytest.approx(1)
        assert body["model_version"] == version
        assert 0 < body["latency_ms"] < 10_000
        assert isinstance(body["prediction_id"], str)


def test_predict_batch(iris_server: Server, version: str) -> None:
    for path in ("/predict_batch", "/iris/predict_batch"):
        body = iris_server.client.post(path, json=[FLOWER, OTHER_FLOWER]).json()
        assert list(body) == [
            "predictions", "class_probabilities", "model_version", "latency_ms", "prediction_id",
        ]  # fmt: skip
        assert body["predictions"] == ["setosa", "virginica"]
        assert [list(shares) for shares in body["class_probabilities"]] == [SPECIES, SPECIES]
        assert body["model_version"] == version


def test_a_row_alone_is_answered_as_in_a_batch(iris_server: Server) -> None:
    alone = [iris_server.client.post("/predict", json=row).json() for row in (FLOWER, OTHER_FLOWER)]
    together = iris_server.client.post("/predict_batch", json=[FLOWER, OTHER_FLOWER]).json()
    assert [single["prediction"] for single in alone] == together["predictions"]
    # to the last bit but one: how ONNX Runtime vectorises depends on where in memory the numbers lie
    for single, shares in zip(alone, together["class_probabilities"], strict=True):
        assert single["class_probabilities"] == pytest.approx(shares, rel=1e-12)


def test_a_large_batch_is_answered_whole(iris_server: Server) -> None:
    body = iris_server.client.post("/predict_batch", json=[FLOWER, OTHER_FLOWER] * 2000).json()
    assert body["predictions"] == ["setosa", "virginica"] * 2000


def test_every_prediction_has_an_id_of_its_own(iris_server: Server) -> None:
    ids = [
        iris_server.client.post("/predict", json=FLOWER).json()["prediction_id"] for _ in range(50)
    ]
    assert len(set(ids)) == 50


def test_regression(two_servers: Server, bundle_of: Any) -> None:
    row = Bundle.open(bundle_of("diabetes")).json("golden.json")["rows"][0]
    single = two_servers.client.post("/diabetes/predict", json=row).json()
    assert list(single) == ["prediction", "model_version", "latency_ms", "prediction_id"]
    many = two_servers.client.post("/diabetes/predict_batch", json=[row, row]).json()
    assert list(many) == ["predictions", "model_version", "latency_ms", "prediction_id"]
    assert many["predictions"] == [single["prediction"]] * 2


def test_labels_that_are_numbers(two_servers: Server) -> None:
    row = {"petal_length": 1.4, "petal_width": 0.2}
    body = two_servers.client.post("/native/predict", json=row).json()
    assert body["prediction"] == body["predicted_label"] == 0
    assert list(body["class_probabilities"]) == ["0", "1", "2"]


def test_several_projects_answer_under_their_names_only(two_servers: Server) -> None:
    for path in ("/predict", "/predict_batch", "/invocations"):
        problem(two_servers.client.post(path, json={}), 404)
    body = two_servers.client.get("/status").json()
    assert [project["project"] for project in body["projects"]] == ["diabetes", "native"]
    assert [project["engine"] for project in body["projects"]] == ["onnx", "native"]


def test_status(iris_server: Server, iris: Path, version: str) -> None:
    before = iris_server.client.get("/status").json()
    iris_server.client.post("/predict", json=FLOWER)
    iris_server.client.post("/predict", json={})
    after = iris_server.client.get("/status").json()
    assert after.keys() == {
        "project", "ready", "reason", "uptime_seconds", "live_version", "live_since", "stage", "engine",
        "bundle_digest", "refused", "registry", "features", "requests", "errors", "latency_seconds", "predictions",
        "class_mix", "unseen_categories", "ledger", "drift",
    }  # fmt: skip
    assert after["project"] == "iris"
    assert after["ready"] is True
    assert after["live_version"] == version
    assert after["engine"] == "onnx"
    assert after["bundle_digest"] == Bundle.open(iris).digest
    assert after["predictions"] == before["predictions"] + 1
    assert after["class_mix"]["setosa"] == before["class_mix"]["setosa"] + 1
    assert after["errors"] == before["errors"] + 1
    assert after["requests"] == before["requests"] + 3  # two posts, and the status before
    assert after["latency_seconds"].keys() == {"p50", "p95", "p99"}


def test_docs_need_no_other_host(iris_server: Server) -> None:
    page = iris_server.client.get("/docs")
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    assert "default-src 'none'" in page.headers["content-security-policy"]
    linked = re.findall(r'(?:src|href)="\.\./docs/([^"]+)"', page.text)
    assert sorted(linked) == ["start.js", "swagger-ui-bundle.js", "swagger-ui.css"]
    for asset in [*linked, "favicon.png"]:
        assert iris_server.client.get(f"/docs/{asset}").status_code == 200
    assert "http" not in re.sub(r"<!doctype.*?>", "", page.text)
    for asset in ("nothing.js", "..%2fapp.py", "%2e%2e"):
        problem(iris_server.client.get(f"/docs/{asset}"), 404)


def test_the_version_of_the_software(iris_server: Server) -> None:
    assert iris_server.client.get("/version").text == windlass.__version__


@pytest.mark.parametrize("path", ["/predict", "/predict_batch"])
def test_only_the_live_version_is_known(iris_server: Server, version: str, path: str) -> None:
    body: Any = FLOWER if path == "/predict" else [FLOWER]
    assert iris_server.client.post(f"{path}?version={version}", json=body).status_code == 200
    problem(iris_server.client.post(f"{path}?version=v9", json=body), 404)
    problem(iris_server.client.post(f"{path}?version=", json=body), 404)
    for query in ("vresion=v9", f"version={version}&version={version}"):
        problem(iris_server.client.post(f"{path}?{query}", json=body), 422)


def test_the_documented_query_parameters_are_those_that_are_read(iris_server: Server) -> None:
    paths = iris_server.client.get("/openapi.json").json()["paths"]
    for path, operations in paths.items():
        for method, operation in operations.items():
            declared = [p["name"] for p in operation.get("parameters", []) if p["in"] == "query"]
            url = re.sub(r"\{\w+\}", "iris", path)
            answer = iris_server.client.request(method, f"{url}?unknown=1")
            read = re.search(r"query parameters: ([\w, ]+)", answer.text)
            names = read[1].split(", ") if read else []
            assert [name for name in names if name != "none"] == declared, path


@pytest.mark.parametrize("path", GETS)
def test_get(iris_server: Server, path: str) -> None:
    answer = iris_server.client.get(path)
    assert answer.status_code == 200
    head = iris_server.client.head(path)
    assert head.status_code == 200
    assert head.content == b""
    slashed = iris_server.client.get(f"{path}/")
    assert slashed.status_code == 200
    refused = iris_server.client.post(path, json={})
    assert refused.status_code == 405
    text = refused.json()["error"] if path.startswith("/v2") else problem(refused, 405)["detail"]
    assert text == "This route answers GET, HEAD only."
    assert refused.headers["allow"] == "GET, HEAD"


@pytest.mark.parametrize("path", POSTS)
@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "DELETE", "PATCH", "OPTIONS"])
def test_other_methods_than_post(iris_server: Server, path: str, method: str) -> None:
    answer = iris_server.client.request(method, path)
    if "{" not in path and path.startswith("/v1/models/") and method in ("GET", "HEAD"):
        assert answer.status_code == 404  # a model of such a name
        return
    assert answer.status_code == 405
    assert answer.headers["allow"] == "POST" or path.startswith("/v1/models/")
    assert answer.headers["server-timing"]


@pytest.mark.parametrize("path", ["/", "/nothing", "/predict/x/y", "/iris", "/%00", "/Predict"])
def test_nothing_there(iris_server: Server, path: str) -> None:
    for method in ("GET", "POST"):
        problem(iris_server.client.request(method, path), 404)


REQUESTS = [
    ("GET", "/health", 200), ("POST", "/predict", 422), ("GET", "/predict", 405), ("GET", "/no", 404),
    ("POST", "/v2/models/iris/infer", 400), ("GET", "/v2/models/no", 404), ("GET", "/docs", 200),
    ("GET", "/metrics", 200), ("GET", "/ping", 200), ("POST", "/invocations", 400),
]  # fmt: skip


@pytest.mark.parametrize(("method", "path", "status"), REQUESTS)
def test_request_id_and_timing_on_every_answer(
    iris_server: Server, method: str, path: str, status: int
) -> None:
    content: dict[str, Any] = {"json": {}} if method == "POST" else {}
    sane = "Caller-1.2:3/4_5+6=7@8"
    echoed = iris_server.client.request(method, path, headers={"x-request-id": sane}, **content)
    assert echoed.status_code == status
    assert echoed.headers["x-request-id"] == sane
    assert TIMING(echoed.headers["server-timing"])
    fresh = iris_server.client.request(method, path, **content)
    assert fresh.headers["x-request-id"] not in ("", sane)


@pytest.mark.parametrize(
    "insane", ["", "a b", "x" * 129, 'quo"te', "a;b", "{}", "café", "a\tb", "<script>"]
)
def test_an_insane_request_id_is_replaced(iris_server: Server, insane: str) -> None:
    headers = [(b"x-request-id", insane.encode("latin-1"))]
    answer = iris_server.client.post("/predict", json=FLOWER, headers=headers)
    assert answer.status_code == 200
    assert answer.headers["x-request-id"] == answer.json()["prediction_id"]


def test_the_timing_of_a_prediction_names_its_phases(iris_server: Server) -> None:
    timing = iris_server.client.post("/predict", json=FLOWER).headers["server-timing"]
    assert re.fullmatch(r"parse;dur=\d+\.\d+, model;dur=\d+\.\d+", timing)


def test_not_ready_is_said_with_the_reason(serve: Serve, bundle_of: Any, tmp_path: Path) -> None:
    """Health answers, predictions wait: a model that does not reproduce its reference examples never serves."""
    from tests.support.altered_bundles import change_json, copy_bundle

    broken = change_json(
        copy_bundle(bundle_of("iris"), tmp_path / "broken"), "golden.json", _other_label
    )
    server = serve(broken, ready=False)
    server.wait("/livez")
    server.wait("/readyz", status=503)
    while "loading" in server.client.get("/readyz").text:
        pass  # it is being loaded; each answer is an event of its own
    refused = server.client.get("/readyz")
    (fault,) = problem(refused, 503)["errors"]
    assert fault["loc"] == ["iris"]
    assert "Reference example 0" in fault["msg"]
    assert refused.headers["retry-after"] == "1"
    for path in ("/predict", "/predict_batch", "/invocations", "/v1/models/iris:predict"):
        answer = server.client.post(path, json={"instances": [FLOWER]})
        problem(answer, 503)
        assert int(answer.headers["retry-after"]) >= 1
    assert server.client.get("/ping").status_code == 503
    assert server.client.get("/v2/health/ready").status_code == 503
    assert server.client.get("/v2/models/iris/ready").status_code == 503
    assert server.client.post("/v2/models/iris/infer", json={}).status_code in (400, 503)
    status = server.client.get("/status").json()
    assert status["ready"] is False
    assert status["live_version"] is None


def _other_label(examples: Any) -> None:
    examples["expected"][0]["label"] = "virginica"
