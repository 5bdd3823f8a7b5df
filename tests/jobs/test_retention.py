"""Old keys and jobs go, on either database; what is young, or has not ended, stays, whoever tidies meanwhile."""

import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
from tests.support.job_workers import aged

from windlass.errors import JobError, UnknownError
from windlass.jobs import retention
from windlass.jobs.job import Job, JobState
from windlass.jobs.queue import JobQueue, JobRequest
from windlass.jobs.retention import JOB_SECONDS, KEY_SECONDS, Retention
from windlass.jobs.workers import WorkerTable
from windlass.storage.database import Database

IRIS = JobRequest("iris", "train", {"seed": 1}, "ada", idempotency_key="monday")
HOUR = 3600.0


@pytest.fixture
def kept(database: Database) -> Retention:
    return Retention(database)


def ended(desk: JobQueue, order: JobRequest, worker: str) -> Job:
    desk.submit(order)
    job = desk.claim(worker)
    assert job is not None
    return desk.finish(job.id, worker, result={"version": "v1"})


def there(desk: JobQueue, job: Job) -> bool:
    try:
        desk.get(job.id)
    except UnknownError:
        return False
    return True


def test_a_key_is_free_a_day_after_its_job_ended(
    database: Database, desk: JobQueue, workers: WorkerTable, kept: Retention
) -> None:
    first = ended(desk, IRIS, workers.arrive())
    aged(database, first, KEY_SECONDS - HOUR)
    assert kept.forget_keys() == 0
    assert desk.submit(IRIS).id == first.id
    with pytest.raises(JobError, match="was used for job"):
        desk.submit(replace(IRIS, request={"seed": 2}))
    aged(database, first, 2 * HOUR)
    assert kept.forget_keys() == 1
    second = desk.submit(replace(IRIS, request={"seed": 2}))
    assert second.id != first.id
    assert desk.get(first.id).result == {"version": "v1"}, "the job itself stays"
    assert kept.forget_keys() == 0


def test_a_job_goes_90_days_after_its_end(
    database: Database, desk: JobQueue, workers: WorkerTable, kept: Retention
) -> None:
    me = workers.arrive()
    old = ended(desk, replace(IRIS, idempotency_key=None), me)
    young = ended(desk, replace(IRIS, idempotency_key=None), me)
    cancelled = desk.cancel(desk.submit(replace(IRIS, project="loan")).id)
    aged(database, old, JOB_SECONDS + HOUR)
    aged(database, young, JOB_SECONDS - HOUR)
    aged(database, cancelled, JOB_SECONDS + 2 * HOUR)
    assert kept.outlived() == [cancelled.id, old.id]
    assert kept.remove([cancelled.id, old.id, young.id]) == 2, "whoever is told of too many"
    assert [there(desk, job) for job in (old, young, cancelled)] == [False, True, False]
    assert kept.outlived() == []


def test_what_has_not_ended_stays_however_old(
    database: Database, desk: JobQueue, workers: WorkerTable, kept: Retention
) -> None:
    running = desk.submit(IRIS)
    assert desk.claim(workers.arrive()) is not None
    queued = desk.submit(replace(IRIS, idempotency_key="tuesday"))
    for job in (running, queued):
        aged(database, job, 10 * JOB_SECONDS)
    assert (kept.forget_keys(), kept.outlived(), kept.remove([running.id, queued.id])) == (0, [], 0)
    assert (desk.get(running.id).state, desk.get(queued.id).state) == (
        JobState.RUNNING,
        JobState.QUEUED,
    )
    assert desk.submit(IRIS).id == running.id


def test_many_tidy_while_others_ask(
    database: Database, desk: JobQueue, kept: Retention, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retention, "AT_ONCE", 3)
    old = [desk.cancel(desk.submit(replace(IRIS, idempotency_key=f"k{n}")).id) for n in range(20)]
    for job in old:
        aged(database, job, JOB_SECONDS + HOUR)
    start = threading.Barrier(5)

    def tidy() -> tuple[int, int]:
        mine, removed = Retention(database), 0
        start.wait(30)
        keys = mine.forget_keys()
        while ids := mine.outlived():
            removed += mine.remove(ids)
        return keys, removed

    def ask() -> list[Job]:
        start.wait(30)
        return [desk.submit(replace(IRIS, idempotency_key=f"n{n}")) for n in range(20)]

    with ThreadPoolExecutor(5) as pool:
        asking = pool.submit(ask)
        done = [each.result() for each in [pool.submit(tidy) for _ in range(4)]]
        asked = asking.result()
    assert [sum(each) for each in zip(*done, strict=True)] == [20, 20], "each once"
    assert {job.id for job in desk.list()} == {job.id for job in asked}
