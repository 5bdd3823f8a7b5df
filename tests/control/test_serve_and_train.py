"""The whole way: `windlass serve` of a project of the registry, its worker, trainings over HTTP."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support.control import ASYNC, REASON, open_events
from tests.support.paths import IRIS
from tests.support.server import FLOWER, Server
from tests.support.waiting import wait_for

from windlass.core.project_loader import load_project
from windlass.core.project_spec import ProjectSpec
from windlass.registry.registry import Registry
from windlass.settings import Settings


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Iris, served with a worker beside; nothing is trained yet."""
    home = tmp_path_factory.mktemp("whole")
    registry = Registry.open(Settings(home=home))
    registry.declare(ProjectSpec.from_project(*load_project(IRIS)))
    registry.close()
    server = Server.of(Path("iris"), home=home, MLFLOW_TRACKING_URI="")
    yield server.wait("/livez")
    server.stop()


def test_a_training_makes_a_version_that_is_served(served: Server) -> None:
    client = served.client
    body, headers = {"model": "rf", "n_estimators": 5}, {"Idempotency-Key": '"once"'}
    answer = client.post("/train", json=body, headers=headers, timeout=90)
    if answer.status_code == 202:  # a slow machine
        with open_events(served, answer.json()["job_id"]) as events:
            assert events.rest()[-1].name == "done"
        answer = client.post("/train", json=body, headers=headers)
    assert answer.status_code == 200, answer.text
    reported = answer.json()
    version = client.get(f"/versions/{reported['new_model_version']}").json()
    assert version["job_id"] == reported["job_id"]
    assert version["params"]["n_estimators"] == 5
    assert version["stage"] == reported["stage"]
    if reported["stage"] == "candidate":
        assert (
            client.post(f"/versions/{version['version']}/approve", json=REASON).status_code == 200
        )
    live = wait_for(lambda: client.get("/status").json()["live_version"], "a live version")
    assert client.post("/predict", json=FLOWER).json()["model_version"] == live


def test_a_running_training_is_cancelled(served: Server) -> None:
    client = served.client
    before = client.get("/versions").json()
    reported = client.post(
        "/train", json={"model": "rf", "n_estimators": 2000}, headers=ASYNC
    ).json()
    with open_events(served, reported["job_id"]) as events:
        while (event := events.next()) is not None and event.data["state"] == "queued":
            pass
        assert client.delete(reported["location"]).status_code == 202
        assert events.rest()[-1].data["state"] == "cancelled"
    assert client.get("/versions").json() == before
