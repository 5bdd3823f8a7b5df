"""`POST /train` with a real job queue and the test as the worker; invalid requests are refused before they wait."""

import signal
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import httpx
import pytest
from tests.support.control import ASYNC, Control, ManualWorker, SharedServer
from tests.support.server import TIMEOUT, Server
from tests.support.waiting import wait_for

from windlass.jobs.job import JobState
from windlass.jobs.queue import JobQueue
from windlass.registry.registry import Registry


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(4) as pool:
        yield pool


def train(pool: ThreadPoolExecutor, server: Server, **body: Any) -> "Future[httpx.Response]":
    return pool.submit(server.client.post, "/train", json=body)


def test_a_training_is_waited_for(
    server: Server, worker: ManualWorker, pool: ThreadPoolExecutor
) -> None:
    waiting = train(pool, server, model="rf", n_estimators=7, seed=3)
    job = worker.wait_for_job()
    assert job.kind == "train"
    assert job.asked_by == "anonymous"
    assert job.request == {
        "model": "rf",
        "hyperparameters": {"n_estimators": 7},
        "seed": 3,
        "test_size": 0.2,
        "folder": None,
        "data": None,
    }
    assert not waiting.done()
    worker.succeed(job)
    answer = waiting.result(TIMEOUT)
    assert answer.status_code == 200
    assert answer.json() == {
        "message": "Training completed successfully.",
        "new_model_version": "v3",
        "stage": "candidate",
        "job_id": job.id,
        "metrics": {"accuracy": 1.0},
    }


def test_a_failed_training_is_reported(
    server: Server, worker: ManualWorker, pool: ThreadPoolExecutor
) -> None:
    waiting = train(pool, server)
    worker.fail(worker.wait_for_job(), "The data has no rows.")
    answer = waiting.result(TIMEOUT)
    assert answer.status_code == 422
    assert answer.json()["detail"] == "Training failed: The data has no rows."
    assert server.client.get(f"/jobs/{answer.json()['job_id']}").json()["state"] == "failed"


def test_a_cancelled_training_is_reported(server: Server, pool: ThreadPoolExecutor) -> None:
    first = server.client.post("/train", json={}, headers=ASYNC)
    waiting = train(pool, server, seed=1)

    def second() -> str | None:
        names = [job["job_id"] for job in server.client.get("/jobs").json()["jobs"]]
        return next((name for name in names if name != first.json()["job_id"]), None)

    newest = wait_for(second, "a second job")
    assert server.client.delete(f"/jobs/{newest}").status_code == 200
    assert waiting.result(TIMEOUT).status_code == 409


@pytest.mark.parametrize("prefix", ["", "/iris"])
def test_a_client_need_not_wait(server: Server, worker: ManualWorker, prefix: str) -> None:
    answer = server.client.post(f"{prefix}/train", json={}, headers=ASYNC)
    reported = answer.json()
    assert answer.status_code == 202
    assert answer.headers["preference-applied"] == "respond-async"
    assert (
        answer.headers["location"] == reported["location"] == f"{prefix}/jobs/{reported['job_id']}"
    )
    assert reported["state"] == "queued"
    assert (
        reported["message"] == "Training is queued. It begins as soon as a worker is free for it."
    )
    assert server.client.get(reported["location"]).json()["job_id"] == reported["job_id"]


def test_a_queued_training_names_what_it_waits_for(server: Server, worker: ManualWorker) -> None:
    first = server.client.post("/train", json={}, headers=ASYNC).json()
    assert worker.begin().id == first["job_id"]
    second = server.client.post("/train", json={"seed": 1}, headers=ASYNC).json()
    assert f"once job {first['job_id']} of this project, which runs now" in second["message"]


def test_a_client_waits_as_long_as_it_likes(server: Server) -> None:
    answer = server.client.post("/train", json={}, headers={"Prefer": "wait=1"})
    assert (answer.status_code, answer.headers["preference-applied"]) == (202, "wait=1")


def test_an_answer_without_a_worker_says_so(server: Server) -> None:
    answer = server.client.post("/train", json={}, headers=ASYNC)
    assert answer.status_code == 202
    assert "no worker is running" in answer.json()["message"]


def test_a_repeated_request_is_the_same_job(server: Server, registry: Registry) -> None:
    headers = {**ASYNC, "Idempotency-Key": '"a key"'}
    first = server.client.post("/train", json={"seed": 1}, headers=headers)
    again = server.client.post("/iris/train", json={"test_size": 0.2, "seed": 1}, headers=headers)
    assert first.json()["job_id"] == again.json()["job_id"]
    other = server.client.post("/train", json={"seed": 2}, headers=headers)
    assert other.status_code == 422
    assert other.json()["errors"][0]["loc"] == ["Idempotency-Key"]
    assert len(JobQueue(registry.database).list("iris")) == 1


def test_twenty_at_once_with_one_key_are_one_job(
    server: Server, control: Control, registry: Registry
) -> None:
    """Through two servers on one database."""
    urls = [server.url, control("iris").url]
    with ThreadPoolExecutor(10) as pool:
        headers = {**ASYNC, "Idempotency-Key": "k"}
        posts = [
            pool.submit(httpx.post, f"{urls[i % 2]}/train", json={}, headers=headers, timeout=60)
            for i in range(20)
        ]
        answers = [post.result(60) for post in posts]
    assert {answer.status_code for answer in answers} == {202}
    assert len({answer.json()["job_id"] for answer in answers}) == 1
    assert len(JobQueue(registry.database).list("iris")) == 1


@pytest.mark.parametrize("key", ["", '""', "ü", "x" * 256, '"open', "a b"])
def test_an_invalid_idempotency_key_is_refused(read_only: SharedServer, key: str) -> None:
    headers = {**ASYNC, "Idempotency-Key": key.encode("latin-1")}
    answer = read_only.server.client.post("/train", json={}, headers=headers)  # type: ignore[arg-type]  # bytes do
    assert answer.status_code == 400


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"model": "svm"}, ["model"]),
        ({"model": None}, ["model"]),
        ({"model": ["rf"]}, ["model"]),
        ({"C": 0}, ["C"]),
        ({"C": "1.0"}, ["C"]),
        ({"C": True}, ["C"]),
        ({"n_estimators": 10}, ["n_estimators"]),
        ({"model": "rf", "n_estimators": 2001}, ["n_estimators"]),
        ({"model": "rf", "n_estimators": 1.5}, ["n_estimators"]),
        ({"model": "rf", "max_depth": "deep"}, ["max_depth"]),
        ({"model": "rf", "max_depth": 1e300}, ["max_depth"]),
        ({"seed": -1}, ["seed"]),
        ({"seed": 2**32}, ["seed"]),
        ({"seed": 10**30}, ["seed"]),
        ({"seed": None}, ["seed"]),
        ({"test_size": 1}, ["test_size"]),
        ({"test_size": 0}, ["test_size"]),
        ({"test_size": "a fifth"}, ["test_size"]),
        ({"folder": "/etc"}, []),
        ({"data": "/etc/passwd"}, []),
        ({"c": 1.0}, []),
        ([], []),
        ("rf", []),
    ],
)
def test_bad_parameters_never_wait(read_only: SharedServer, body: object, field: list[str]) -> None:
    answer = read_only.server.client.post("/train", json=body, headers=ASYNC)
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["loc"] == field
    assert read_only.queue.list() == []


def test_every_fault_is_named(read_only: SharedServer) -> None:
    body = {"model": "rf", "n_estimators": 0, "C": 1.0, "seed": "x", "size": 1}
    errors = read_only.server.client.post("/train", json=body).json()["errors"]
    reported = {".".join(error["loc"]): error["msg"] for error in errors}
    assert reported == {
        "n_estimators": "The value is less than the minimum of 1.",
        "C": "A hyperparameter of logreg, and this trains rf.",
        "seed": 'The value is not of type "integer".',
        "": "There is an unknown field. The fields are: model, n_estimators, max_depth, seed, test_size.",
    }


@pytest.mark.parametrize(
    ("content", "kind", "status"),
    [
        (b"", "application/json", 400),
        (b"{", "application/json", 400),
        (b"[" * 100_000, "application/json", 413),
        (b"[" * 60_000, "application/json", 400),
        (b'{"C": 1, "C": 2}', "application/json", 400),
        (b'{"C": 1, "\\u0043": 2}', "application/json", 400),
        (b'{"C": 1e999}', "application/json", 400),
        (b'{"C": NaN}', "application/json", 400),
        (b'{"model": "\xff"}', "application/json", 400),
        (b'{"C": 1}' + b" " * 70_000, "application/json", 413),
        (b"{}", "text/plain", 415),
        (b"model=rf", "application/x-www-form-urlencoded", 415),
    ],
)
def test_bodies_are_json_within_the_size_limit(
    read_only: SharedServer, content: bytes, kind: str, status: int
) -> None:
    answer = read_only.server.client.post(
        "/train", content=content, headers={"Content-Type": kind, **ASYNC}
    )
    assert answer.status_code == status


def test_a_stopping_server_answers_those_who_wait(
    server: Server, registry: Registry, pool: ThreadPoolExecutor
) -> None:
    """The job goes on without it, and the client learns where."""
    waiting = train(pool, server)
    queue = JobQueue(registry.database)
    wait_for(lambda: queue.list("iris"), "a job")
    server.signal(signal.SIGTERM)
    answer = waiting.result(TIMEOUT)
    assert answer.status_code == 202
    assert answer.json()["location"] == f"/jobs/{queue.list('iris')[0].id}"
    assert server.exit_code() == 0
    assert not [line for line in server.lines() if line["level"] in ("error", "warning")]
    assert queue.list("iris")[0].state is JobState.QUEUED
