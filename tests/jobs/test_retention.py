"""Old keys and jobs go, on either database; young or unfinished ones stay, also while several processes remove them."""

import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
from tests.support.job_workers import begin_next, make_older

from windlass.errors import JobError, UnknownError
from windlass.jobs.job import Job, JobState
from windlass.jobs.queue import JobQueue, JobRequest
from windlass.jobs.retention import JOB_SECONDS, KEY_SECONDS, Retention
from windlass.jobs.workers import WorkerTable
from windlass.storage.database import Database

IRIS = JobRequest("iris", "train", {"seed": 1}, "ada", idempotency_key="monday")
HOUR = 3600.0


@pytest.fixture
def retention(database: Database) -> Retention:
    return Retention(database)


def ended(queue: JobQueue, order: JobRequest, worker: str) -> Job:
    queue.submit(order)
    job = begin_next(queue, worker)
    assert job is not None
    return queue.finish(job.id, worker, result={"version": "v1"})


def there(queue: JobQueue, job: Job) -> bool:
    try:
        queue.get(job.id)
    except UnknownError:
        return False
    return True


def test_a_key_is_free_a_day_after_its_job_ended(
    database: Database, queue: JobQueue, workers: WorkerTable, retention: Retention
) -> None:
    first = ended(queue, IRIS, workers.register())
    make_older(database, first, KEY_SECONDS - HOUR)
    assert retention.expire_keys() == 0
    assert queue.submit(IRIS).id == first.id
    with pytest.raises(JobError, match="was used for job"):
        queue.submit(replace(IRIS, request={"seed": 2}))
    make_older(database, first, 2 * HOUR)
    assert retention.expire_keys() == 1
    second = queue.submit(replace(IRIS, request={"seed": 2}))
    assert second.id != first.id
    assert queue.get(first.id).result == {"version": "v1"}, "the job itself stays"
    assert retention.expire_keys() == 0


def test_a_job_goes_90_days_after_its_end(
    database: Database, queue: JobQueue, workers: WorkerTable, retention: Retention
) -> None:
    me = workers.register()
    old = ended(queue, replace(IRIS, idempotency_key=None), me)
    young = ended(queue, replace(IRIS, idempotency_key=None), me)
    cancelled = queue.cancel(queue.submit(replace(IRIS, project="loan")).id)
    make_older(database, old, JOB_SECONDS + HOUR)
    make_older(database, young, JOB_SECONDS - HOUR)
    make_older(database, cancelled, JOB_SECONDS + 2 * HOUR)
    assert retention.expired_jobs() == [cancelled.id, old.id]
    assert retention.remove([cancelled.id, old.id, young.id]) == 2, "too many are named"
    assert [there(queue, job) for job in (old, young, cancelled)] == [False, True, False]
    assert retention.expired_jobs() == []


def test_unfinished_jobs_stay_however_old(
    database: Database, queue: JobQueue, workers: WorkerTable, retention: Retention
) -> None:
    running = queue.submit(IRIS)
    assert begin_next(queue, workers.register()) is not None
    queued = queue.submit(replace(IRIS, idempotency_key="tuesday"))
    for job in (running, queued):
        make_older(database, job, 10 * JOB_SECONDS)
    assert (
        retention.expire_keys(),
        retention.expired_jobs(),
        retention.remove([running.id, queued.id]),
    ) == (
        0,
        [],
        0,
    )
    assert (queue.get(running.id).state, queue.get(queued.id).state) == (
        JobState.RUNNING,
        JobState.QUEUED,
    )
    assert queue.submit(IRIS).id == running.id


def test_several_processes_remove_jobs_while_others_list_them(
    database: Database, queue: JobQueue
) -> None:
    old = [queue.cancel(queue.submit(replace(IRIS, idempotency_key=f"k{n}")).id) for n in range(20)]
    for job in old:
        make_older(database, job, JOB_SECONDS + HOUR)
    assert len(Retention(database, batch_size=3).expired_jobs()) == 3
    start = threading.Barrier(5)

    def tidy() -> tuple[int, int]:
        mine, removed = Retention(database, batch_size=3), 0
        start.wait(30)
        keys = mine.expire_keys()
        while ids := mine.expired_jobs():
            removed += mine.remove(ids)
        return keys, removed

    def ask() -> list[Job]:
        start.wait(30)
        return [queue.submit(replace(IRIS, idempotency_key=f"n{n}")) for n in range(20)]

    with ThreadPoolExecutor(5) as pool:
        asking = pool.submit(ask)
        done = [each.result() for each in [pool.submit(tidy) for _ in range(4)]]
        listed = asking.result()
    assert [sum(each) for each in zip(*done, strict=True)] == [20, 20], "each once"
    assert {job.id for job in queue.list()} == {job.id for job in listed}
