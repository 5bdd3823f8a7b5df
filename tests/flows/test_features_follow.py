"""A running server follows what is declared, materialised and erased, and answers one of two services alone."""

from collections.abc import Iterator
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
def registered(tmp_path: Path) -> Iterator[RegistryHome]:
    made = RegistryHome(tmp_path / "home")
    yield made
    made.close()


@pytest.fixture
def clients(bundle_of: BundleOf) -> Path:
    return bundle_of("clients")


def asked(server: Server, path: str = f"/features/{PLAIN}") -> int:
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
    serve: Serve, registered: RegistryHome, clients: Path
) -> None:
    approve_bundle(registered, clients)
    server = serve(PROJECT, home=registered.home, options=OPTIONS)
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
    assert asked(server, "/readyz") == 200
    fill_store(registered.settings)
    assert asked(server) == 200
    assert server.client.post(f"/predict/{PLAIN}").status_code == 200
    store = open_online_store(registered.settings)
    assert store.erase(PLAIN)
    store.close()
    assert asked(server) == 404


def test_a_view_is_followed(serve: Serve, registered: RegistryHome, clients: Path) -> None:
    """Declared while the server runs, changed, and taken away; what the store holds is read all the while."""
    approve_bundle(registered, clients, view=None)
    server = serve(PROJECT, home=registered.home, options=OPTIONS)
    assert asked(server) == 404
    assert server.client.get("/status").json()["features"] is None
    assert "/features" not in server.client.get("/openapi.json").json()["paths"]
    fill_store(registered.settings)
    declare_view(registered)
    wait_until(lambda: asked(server) == 200, "the view is there")
    assert "/features" in server.client.get("/openapi.json").json()["paths"]
    declare_view(registered, HASTY_VIEW)
    fill_store(registered.settings, HASTY_VIEW, number=2)
    wait_until(lambda: view_of(server) == HASTY_VIEW.version, "the new view is read")
    assert_stale(server)
    declare_view(registered, None)
    wait_until(lambda: asked(server) == 404, "the view is gone")


def test_a_damaged_store_is_503_and_harms_no_prediction(
    serve: Serve, registered: RegistryHome, clients: Path
) -> None:
    approve_bundle(registered, clients)
    fill_store(registered.settings)
    server = serve(PROJECT, home=registered.home, options=OPTIONS)
    assert asked(server) == 200
    file = registered.home / "features/clients/online.db"
    damaged = file.with_suffix(".damaged")
    damaged.write_bytes(b"no database" * 1000)
    for rest in ("-wal", "-shm"):
        Path(f"{file}{rest}").unlink(missing_ok=True)
    damaged.replace(file)
    wait_until(lambda: asked(server) == 503, "damaged")
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
    fill_store(registered.settings)
    wait_until(lambda: asked(server) == 200, "mended")
    wait_until(lambda: server.client.get("/status").json()["features"]["reason"] is None, "result")


def test_a_store_elsewhere_goes_away_and_comes_back(
    serve: Serve, registered: RegistryHome, clients: Path, wire: TcpProxy, wired_url: str
) -> None:
    """Predictions by row go on, and those by id are refused."""
    approve_bundle(registered, clients)
    there = Settings(home=registered.home, online_url=wired_url)
    fill_store(there)
    server = serve(PROJECT, home=registered.home, options=OPTIONS, WINDLASS_ONLINE_URL=wired_url)
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
    wait_until(lambda: asked(server) == 200, "back")


def test_the_registry_is_away_at_the_start(
    serve: Serve, bundle_of: BundleOf, tmp_path: Path, wire: TcpProxy, wired_url: str
) -> None:
    registered = RegistryHome(tmp_path / "home", database_url=wired_url)
    approve_bundle(registered, bundle_of("clients"))
    fill_store(registered.settings)
    registered.close()
    wire.cut()
    server = serve(
        PROJECT, home=registered.home, ready=False, options=OPTIONS, WINDLASS_DATABASE_URL=wired_url
    ).wait("/livez")
    assert asked(server) == 404  # nobody knows whether there is a view
    wire.mend()
    wait_until(lambda: asked(server) == 200, "the view is known")


def test_features_alone(serve: Serve, registered: RegistryHome, clients: Path) -> None:
    approve_bundle(registered, clients)
    server = serve(PROJECT, home=registered.home, ready=False, options=["--only", "features"]).wait(
        "/readyz", 503
    )
    wait_until(
        lambda: "features materialise" in server.client.get("/readyz").text, "says what to do"
    )
    fill_store(registered.settings)
    server.wait("/readyz")
    assert asked(server) == asked(server, f"/clients/features/{PLAIN}") == 200
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
        "/v2/models/clients/infer",
    ):
        problem(server.client.post(path, json={}), 404)
    assert not (registered.home / "ledger").exists()


def test_predictions_alone(serve: Serve, registered: RegistryHome, clients: Path) -> None:
    approve_bundle(registered, clients)
    fill_store(registered.settings)
    server = serve(PROJECT, home=registered.home, options=["--only", "predict", *OPTIONS])
    assert server.client.post(f"/predict/{PLAIN}").status_code == 200
    assert predicts(server)
    problem(server.client.get(f"/features/{PLAIN}"), 404)
    problem(server.client.post("/features", json=[PLAIN]), 404)


def test_a_bundle_by_itself_has_no_features_to_answer_alone(tmp_path: Path, clients: Path) -> None:
    with pytest.raises(SettingsError, match="has no feature view"):
        application(clients, settings=Settings(home=tmp_path), only=ServiceRole.FEATURES)
