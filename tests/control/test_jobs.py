"""Jobs over HTTP, with a real queue."""

import pytest
from sqlalchemy import insert, select
from tests.support.control import ASYNC, Control, ManualWorker, SharedServer, submit_training
from tests.support.server import Server

from windlass.jobs.queue import JobLimits, JobQueue, JobRequest
from windlass.jobs.workers import WorkerTable
from windlass.registry.registry import Registry
from windlass.storage import db_tables


def test_jobs_are_listed_newest_first(server: Server, worker: ManualWorker) -> None:
    names = [submit_training(server, seed=seed) for seed in range(3)]
    worker.fail(worker.begin(), "No.")
    jobs = server.client.get("/jobs").json()["jobs"]
    assert [job["job_id"] for job in jobs] == names[::-1]
    assert [job["state"] for job in jobs] == ["queued", "queued", "failed"]
    assert jobs[0]["request"] == {
        "model": "logreg",
        "hyperparameters": {},
        "seed": 2,
        "test_size": 0.2,
    }
    failed = server.client.get("/jobs?state=failed").json()["jobs"]
    assert [(job["job_id"], job["error"]) for job in failed] == [(names[0], "No.")]
    assert len(server.client.get("/jobs?limit=1").json()["jobs"]) == 1
    assert len(server.client.get("/jobs?state=queued&limit=1").json()["jobs"]) == 1


def test_a_job_that_no_worker_can_run_says_so(server: Server, registry: Registry) -> None:
    name, workers = submit_training(server), WorkerTable(registry.database)
    nobody = "Waiting for a worker, but no worker is running."
    assert server.client.get(f"/jobs/{name}").json()["message"].startswith(nobody)
    (listed,) = server.client.get("/jobs").json()["jobs"]
    assert listed["message"].startswith(nobody)
    worker = workers.register()
    assert server.client.get(f"/jobs/{name}").json()["message"] == "Waiting for a worker"
    JobQueue(registry.database).begin(name, worker)
    workers.unregister(worker)
    job = server.client.get(f"/jobs/{name}").json()
    assert (job["state"], job["message"].partition(".")[0]) == (
        "running",
        "Its worker has ended, and no worker is running",
    )


@pytest.mark.parametrize(
    "query", ["limit=0", "limit=1001", "limit=-1", "limit=ten", "limit=", "limit=%D9%A3", "state=busy", "state="]
)  # fmt: skip
def test_invalid_queries_are_refused(read_only: SharedServer, query: str) -> None:
    answer = read_only.server.client.get(f"/jobs?{query}")
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["loc"] == [query.partition("=")[0]]


def test_a_queued_job_is_cancelled_at_once(server: Server) -> None:
    name = submit_training(server)
    answer = server.client.delete(f"/jobs/{name}")
    assert (answer.status_code, answer.json()["state"]) == (200, "cancelled")
    assert server.client.delete(f"/jobs/{name}").status_code == 409


def test_cancelling_a_running_job_waits_for_its_worker(
    server: Server, worker: ManualWorker
) -> None:
    name = submit_training(server)
    worker.begin()
    answer = server.client.delete(f"/jobs/{name}")
    assert (answer.status_code, answer.json()["cancelling"]) == (202, True)
    assert answer.json()["state"] == "running"


def test_jobs_are_limited_and_cancelled_together(
    server: Server, registry: Registry, worker: ManualWorker
) -> None:
    queue, limit = JobQueue(registry.database), JobLimits().of_requester
    names = {queue.submit(JobRequest("iris", "train", {}, "anonymous")).id for _ in range(limit)}
    refused = server.client.post("/train", json={})
    assert (refused.status_code, refused.headers["retry-after"]) == (429, "60")
    assert "DELETE /iris/jobs" in refused.json()["detail"]
    running = worker.begin().id
    queued = server.client.delete("/jobs?state=queued")
    assert queued.status_code == 200
    assert {job["job_id"] for job in queued.json()["jobs"]} == names - {running}
    (cancelling,) = (rest := server.client.delete("/iris/jobs")).json()["jobs"]
    assert (rest.status_code, cancelling["job_id"], cancelling["cancelling"]) == (
        202,
        running,
        True,
    )
    assert server.client.delete("/jobs?state=failed").status_code == 422
    assert server.client.delete("/jobs?stat=queued").status_code == 422  # not: all of them
    assert server.client.delete("/jobs?state=queued&state=running").status_code == 422
    assert server.client.post("/train", json={}, headers=ASYNC).status_code == 202


@pytest.mark.parametrize(
    "name", ["nothing", "%00", "..", "a%2Fb", "x" * 65, "x" * 5000, "%F0%9F%92%A9", "'; --", "-"]
)
def test_an_unknown_job_is_not_found(read_only: SharedServer, name: str) -> None:
    for path in (f"/jobs/{name}", f"/iris/jobs/{name}/events"):
        assert read_only.server.client.get(path).status_code == 404
    assert read_only.server.client.delete(f"/jobs/{name}").status_code == 404


def test_jobs_of_another_project_are_not_listed(
    control: Control, registry: Registry, worker: ManualWorker
) -> None:
    server = control("iris", "wine")
    job = worker.queue.submit(JobRequest("wine", "train", {}, "ada"))
    assert server.client.get(f"/wine/jobs/{job.id}").status_code == 200
    for method in ("GET", "DELETE"):
        assert server.client.request(method, f"/iris/jobs/{job.id}").status_code == 404
    assert server.client.get("/iris/jobs").json()["jobs"] == []
    assert server.client.get("/jobs").status_code == 404  # of two projects none is at the root


def test_many_jobs_are_listed(server: Server, registry: Registry) -> None:
    JobQueue(registry.database).submit(JobRequest("iris", "train", {"seed": 1}, "ada"))
    with registry.database.writing() as connection:
        row = connection.execute(select(db_tables.jobs)).mappings().one()
        copies = [{**row, "id": f"{number:016x}"} for number in range(999)]
        connection.execute(insert(db_tables.jobs), copies)
    assert len(server.client.get("/jobs?limit=1000").json()["jobs"]) == 1000
    assert len(server.client.get("/jobs").json()["jobs"]) == 100
