"""Trainings, jobs, versions and decisions through the client, on a server that follows a registry."""

from pathlib import Path

import pytest
from tests.support.paths import IRIS
from tests.support.registry_home import RegistryHome
from tests.support.server import Serve, Server

import windlass
from windlass.client.client import Client
from windlass.core.project_loader import load_project
from windlass.core.project_spec import ProjectSpec
from windlass.errors import (
    ClientError,
    ConflictError,
    NotFoundError,
    TrainingFailedError,
    UnprocessableError,
)


@pytest.fixture
def server(serve: Serve, registry_home: RegistryHome, iris: Path) -> Server:
    """A server with a worker beside it; v1 is in production."""
    registry_home.live(iris)
    registry_home.registry.declare(ProjectSpec.from_project(*load_project(IRIS)))
    return serve(Path("iris"), home=registry_home.home)


def test_train_decide_and_look(server: Server) -> None:
    with windlass.Client(server.url, project="iris") as client:
        shares: list[float] = []
        version = client.train("logreg", C=2.0, seed=42, progress=lambda s, _: shares.append(s))
        assert (version.name, version.stage) == ("v2", "production")
        assert version.params["C"] == 2.0
        assert shares[-1] == 1.0
        assert shares == sorted(shares)
        _decisions(client)
        _jobs(client, version.job_id or "")
        with pytest.raises(UnprocessableError) as caught:
            client.train(nonsense=1, progress=False)
        assert caught.value.status == 422


def _decisions(client: Client) -> None:
    assert [each.name for each in client.versions()] == ["v2", "v1"]
    assert client.version("v1").stage == "archived"
    assert client.compare("v1", "v2")["versions"] == ["v1", "v2"]
    with pytest.raises(ConflictError, match="only a candidate"):
        client.approve("v1", "good")
    with pytest.raises(NotFoundError):
        client.reject("v9", "no such version")
    assert client.rollback("slow").version == "v1"
    log = client.decisions()
    assert log.verified
    assert [each.action for each in log.decisions] == ["approve", "approve", "rollback"]
    assert client.status()["project"] == "iris"


def _jobs(client: Client, job_id: str) -> None:
    job = client.job(job_id)
    assert (job.state, job.is_final, job.progress) == ("succeeded", True, 1.0)
    assert [each.job_id for each in client.jobs(state="succeeded")] == [job_id]
    with pytest.raises(ConflictError):
        client.cancel_job(job_id)


def test_a_training_without_a_worker_is_waited_for_no_longer_than_said(
    serve: Serve, registry_home: RegistryHome, iris: Path
) -> None:
    registry_home.live(iris)
    registry_home.registry.declare(ProjectSpec.from_project(*load_project(IRIS)))
    server = serve(Path("iris"), home=registry_home.home, options=["--no-worker"])
    with windlass.Client(server.url) as client:
        with pytest.raises(ClientError, match="has not ended in"):
            client.train(timeout=0.1, progress=False)
        (job,) = client.jobs()
        assert client.cancel_job(job.job_id).state == "cancelled"
    assert issubclass(TrainingFailedError, ClientError)
