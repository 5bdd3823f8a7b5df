"""A running server follows what is declared, materialised and erased, and answers one of two services alone."""

from pathlib import Path
from typing import Any

import pytest
from tests.support.loan_view import PROJECT_VIEW
from tests.support.online_clients import (
    PLAIN,
    PROJECT,
    approve_bundle,
    declare_view,
    expected_features,
    fill_store,
    open_online_store,
)
from tests.support.problems import problem
from tests.support.registry_home import RegistryHome
from tests.support.server import Serve, Server
from tests.support.tcp_proxy import TcpProxy
from tests.support.trained_bundles import BundleOf
from tests.support.waiting import wait_until

from windlass.app import application
from windlass.errors import SettingsError
from windlass.serving.targets import ServiceRole
from windlass.settings import Settings

OPTIONS = ["--no-worker"]
HASTY_VIEW = PROJECT_VIEW.model_copy(update={"version": "0123456789ab", "max_age_seconds": 1e-6})


@pytest.fixture
def clients(bundle_of: BundleOf) -> Path:
    return bundle_of("clients")


def status_of_features(server: Server, path: str = f"/features/{PLAIN}") -> int:
    return server.client.get(path).status_code


def view_of(server: Server) -> Any:
    """The version of the view that features are read by."""
    return server.client.get("/status").json()["features"]["view_version"]


def predicts(server: Server) -> bool:
    """By a row, as ever."""
    return server.client.post("/predict", json=expected_features(PLAIN)).status_code == 200


def assert_stale(server: Server) -> None:
    """Every answer says so."""
    assert server.client.get(f"/features/{PLAIN}").json()["stale"] is True
    assert server.client.post(f"/predict/{PLAIN}").json()["stale"] is True
    assert server.client.post("/features", json=[PLAIN]).json()["results"][0]["stale"] is True
    result = server.client.get("/status").json()["features"]
    assert result["view_version"] == result["materialised"]["view_version"] == HASTY_VIEW.version
    assert result["materialised"]["stale"] is True
    assert 'windlass_features_stale{project="clients"} 1.0' in server.client.get("/metrics").text


def test_nothing_is_materialised_and_then_it_is(
    serve: Serve, registry_home: RegistryHome, clients: Path
) -> None:
    approve_bundle(registry_home, clients)
    server = serve(PROJECT, home=registry_home.home, options=OPTIONS)
    for method, path, body in (
        ("GET", f"/features/{PLAIN}", None),
        ("POST", "/features", [PLAIN]),
        ("POST", f"/predict/{PLAIN}", None),
        ("POST", "/predict_by_id", [PLAIN]),
    ):
        answer = server.client.request(method, path, json=body)
        assert "`windlass features materialise clients`" in problem(answer, 503)["detail"]
        assert int(answer.headers["retry-after"]) >= 1
    assert server.client.get("/status").json()["features"]["materialised"] is None
    assert predicts(server)
    assert status_of_features(server, "/readyz") == 200
    fill_store(registry_home.settings)
    assert status_of_features(server) == 200
    assert server.client.post(f"/predict/{PLAIN}").status_code == 200
    store = open_online_store(registry_home.settings)
    assert store.erase(PLAIN)
    store.close()
    assert status_of_features(server) == 404


def test_a_view_is_followed(serve: Serve, registry_home: RegistryHome, clients: Path) -> None:
    """Declared while the server runs, changed, and taken away; what the store holds is read all the while."""
    approve_bundle(registry_home, clients, view=None)
    server = serve(PROJECT, home=registry_home.home, options=OPTIONS)
    assert status_of_features(server) == 404
    assert server.client.get("/status").json()["features"] is None
    assert "/features" not in server.client.get("/openapi.json").json()["paths"]
    fill_store(registry_home.settings)
    declare_view(registry_home)
    wait_until(lambda: status_of_features(server) == 200, "the view is there")
    assert "/features" in server.client.get("/openapi.json").json()["paths"]
    declare_view(registry_home, HASTY_VIEW)
    fill_store(registry_home.settings, HASTY_VIEW, number=2)
    wait_until(lambda: view_of(server) == HASTY_VIEW.version, "the new view is read")
    assert_stale(server)
    declare_view(registry_home, None)
    wait_until(lambda: status_of_features(server) == 404, "the view is gone")


def test_a_damaged_store_is_503_and_harms_no_prediction(
    serve: Serve, registry_home: RegistryHome, clients: Path
) -> None:
    approve_bundle(registry_home, clients)
    fill_store(registry_home.settings)
    server = serve(PROJECT, home=registry_home.home, options=OPTIONS)
    assert status_of_features(server) == 200
    file = registry_home.home / "features/clients/online.db"
    damaged = file.with_suffix(".damaged")
    damaged.write_bytes(b"no database" * 1000)
    for rest in ("-wal", "-shm"):
        Path(f"{file}{rest}").unlink(missing_ok=True)
    damaged.replace(file)
    wait_until(lambda: status_of_features(server) == 503, "damaged")
    for method, path, body in (
        ("POST", "/features", [PLAIN]),
        ("POST", f"/predict/{PLAIN}", None),
        ("POST", "/predict_by_id", [PLAIN]),
    ):
        answer = server.client.request(method, path, json=body)
        assert "log" in problem(answer, 503)["detail"]
        assert str(file) not in answer.text
    assert predicts(server)
    assert 'result="failed"} 0.0' not in server.client.get("/metrics").text
    file.unlink()
    fill_store(registry_home.settings)
    wait_until(lambda: status_of_features(server) == 200, "mended")
    wait_until(lambda: server.client.get("/status").json()["features"]["reason"] is None, "result")


def test_a_store_elsewhere_goes_away_and_comes_back(
    serve: Serve, registry_home: RegistryHome, clients: Path, wire: TcpProxy, wired_url: str
) -> None:
    """Predictions by row go on, and those by id are refused."""
    approve_bundle(registry_home, clients)
    there = Settings(home=registry_home.home, online_url=wired_url)
    fill_store(there)
    server = serve(PROJECT, home=registry_home.home, options=OPTIONS, WINDLASS_ONLINE_URL=wired_url)
    ids = [PLAIN] * 300
    assert len(server.client.post("/features", json=ids).json()["results"]) == 300
    assert server.client.post(f"/predict/{PLAIN}").json()["features"] == expected_features(PLAIN)
    wire.cut()
    answer = server.client.post(f"/predict/{PLAIN}")
    assert (
        problem(answer, 503)["detail"] == "Features cannot be read now. The server's log tells why."
    )
    assert predicts(server)
    assert server.client.get("/status").json()["features"]["reason"]
    wire.mend()
    wait_until(lambda: status_of_features(server) == 200, "back")


def test_the_registry_is_away_at_the_start(
    serve: Serve, bundle_of: BundleOf, tmp_path: Path, wire: TcpProxy, wired_url: str
) -> None:
    registry_home = RegistryHome(tmp_path / "home", database_url=wired_url)
    approve_bundle(registry_home, bundle_of("clients"))
    fill_store(registry_home.settings)
    registry_home.close()
    wire.cut()
    server = serve(
        PROJECT,
        home=registry_home.home,
        ready=False,
        options=OPTIONS,
        WINDLASS_DATABASE_URL=wired_url,
    ).wait("/livez")
    assert status_of_features(server) == 404  # nobody knows whether there is a view
    wire.mend()
    wait_until(lambda: status_of_features(server) == 200, "the view is known")


def test_features_may_be_served_alone(
    serve: Serve, registry_home: RegistryHome, clients: Path
) -> None:
    approve_bundle(registry_home, clients)
    server = serve(
        PROJECT, home=registry_home.home, ready=False, options=["--only", "features"]
    ).wait("/readyz", 503)
    wait_until(
        lambda: "features materialise" in server.client.get("/readyz").text, "says what to do"
    )
    fill_store(registry_home.settings)
    server.wait("/readyz")
    assert (
        status_of_features(server)
        == status_of_features(server, f"/clients/features/{PLAIN}")
        == 200
    )
    status = server.client.get("/status").json()
    assert (status["ready"], status["reason"], status["live_version"]) == (True, None, None)
    paths = server.client.get("/openapi.json").json()["paths"]
    assert {"/features", "/features/{id}", "/status", "/metrics"} <= paths.keys()
    assert not [path for path in paths if "predict" in path or "train" in path or "/v2" in path]
    for path in (
        f"/predict/{PLAIN}",
        "/predict",
        "/train",
        "/invocations",
    ):
        problem(server.client.post(path, json={}), 404)
    assert server.client.post("/v2/models/clients/infer", json={}).status_code == 404
    assert not (registry_home.home / "ledger").exists()


def test_predictions_may_be_served_alone(
    serve: Serve, registry_home: RegistryHome, clients: Path
) -> None:
    approve_bundle(registry_home, clients)
    fill_store(registry_home.settings)
    server = serve(PROJECT, home=registry_home.home, options=["--only", "predict", *OPTIONS])
    assert server.client.post(f"/predict/{PLAIN}").status_code == 200
    assert predicts(server)
    problem(server.client.get(f"/features/{PLAIN}"), 404)
    problem(server.client.post("/features", json=[PLAIN]), 404)


def test_a_bundle_by_itself_has_no_features_to_answer_alone(tmp_path: Path, clients: Path) -> None:
    with pytest.raises(SettingsError, match="has no feature view"):
        application(clients, settings=Settings(home=tmp_path), only=ServiceRole.FEATURES)
