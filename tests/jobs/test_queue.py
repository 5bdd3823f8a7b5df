import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from windlass.errors import JobError, UnknownError
from windlass.jobs.job import Job, JobState
from windlass.jobs.queue import MAX_ATTEMPTS, JobQueue, JobRequest, LostError
from windlass.jobs.workers import WorkerTable
from windlass.storage.database import Database

IRIS = JobRequest("iris", "train", {"seed": 1}, "ada")
LOAN = replace(IRIS, project="loan")


def claimed(desk: JobQueue, worker: str) -> Job:
    job = desk.claim(worker)
    assert job is not None
    return job


def test_a_job_goes_from_the_queue_to_its_result(desk: JobQueue, workers: WorkerTable) -> None:
    asked = desk.submit(IRIS)
    assert (asked.state, asked.project, asked.asked_by) == (JobState.QUEUED, "iris", "ada")
    assert asked.request == {"seed": 1}
    me = workers.arrive()
    job = claimed(desk, me)
    assert (job.id, job.state, job.worker, job.attempts) == (asked.id, JobState.RUNNING, me, 1)
    assert job.started_at is not None
    desk.report(job.id, me, 0.5, "Fitting")
    assert (desk.get(job.id).progress, desk.get(job.id).message) == (0.5, "Fitting")
    done = desk.finish(job.id, me, result={"version": "v1"})
    assert (done.state, done.progress, done.result) == (JobState.SUCCEEDED, 1.0, {"version": "v1"})
    assert done.finished_at is not None
    assert done.finished_at >= job.started_at >= done.created_at
    assert desk.get(job.id) == done
    assert desk.claim(me) is None


def test_jobs_are_begun_in_their_order_one_a_project(desk: JobQueue, workers: WorkerTable) -> None:
    first, second, other = desk.submit(IRIS), desk.submit(IRIS), desk.submit(LOAN)
    me, you = workers.arrive(), workers.arrive()
    assert claimed(desk, me).id == first.id
    assert desk.running("iris") == desk.get(first.id)
    assert claimed(desk, you).id == other.id, "the second of iris waits for the first"
    assert desk.claim(you) is None
    desk.finish(first.id, me, error="It was not to be.")
    assert claimed(desk, you).id == second.id
    assert desk.get(first.id).error == "It was not to be."


def test_many_workers_at_once_begin_each_job_once(database: Database, workers: WorkerTable) -> None:
    names = [workers.arrive() for _ in range(8)]
    for index in range(24):
        JobQueue(database).submit(replace(IRIS, project=f"p{index % 6}"))
    start = threading.Barrier(len(names))

    def work(worker: str) -> list[str]:
        desk, done = JobQueue(database), []
        start.wait()
        while any(not job.state.is_final for job in desk.list()):
            job = desk.claim(worker)
            if job is not None:
                running = [j.project for j in desk.list() if j.state is JobState.RUNNING]
                assert len(running) == len(set(running))
                desk.finish(job.id, worker, result={})
                done.append(job.id)
        return done

    with ThreadPoolExecutor(len(names)) as pool:
        done = [job for found in pool.map(work, names) for job in found]
    assert sorted(done) == sorted(job.id for job in JobQueue(database).list())
    assert {job.attempts for job in JobQueue(database).list()} == {1}


def test_the_newest_jobs_are_listed_first(desk: JobQueue) -> None:
    asked = [desk.submit(order).id for order in (IRIS, LOAN, IRIS)]
    assert [job.id for job in desk.list()] == asked[::-1]
    assert [job.id for job in desk.list("iris")] == [asked[2], asked[0]]
    assert [job.id for job in desk.list(limit=1)] == [asked[2]]


def test_an_idempotency_key_asks_once(desk: JobQueue) -> None:
    order = replace(IRIS, idempotency_key="k" * 255)
    with ThreadPoolExecutor(4) as pool:
        jobs = list(pool.map(lambda _: desk.submit(order), range(8)))
    assert len({job.id for job in jobs}) == 1
    assert desk.submit(replace(LOAN, idempotency_key="k" * 255)).id != jobs[0].id
    with pytest.raises(JobError, match=f"was used for job {jobs[0].id}"):
        desk.submit(replace(order, request={"seed": 2}))
    for key in ("", "k" * 256):
        with pytest.raises(JobError, match="1 to 255 characters"):
            desk.submit(replace(IRIS, idempotency_key=key))


def test_a_queued_job_is_cancelled_at_once(desk: JobQueue, workers: WorkerTable) -> None:
    job = desk.submit(IRIS)
    assert desk.cancel(job.id).state is JobState.CANCELLED
    assert desk.claim(workers.arrive()) is None
    with pytest.raises(JobError, match="has been cancelled: there is nothing left"):
        desk.cancel(job.id)


def test_a_running_job_is_cancelled_by_its_worker(desk: JobQueue, workers: WorkerTable) -> None:
    desk.submit(IRIS)
    me = workers.arrive()
    job = claimed(desk, me)
    cancelling = desk.cancel(job.id)
    assert (cancelling.state, cancelling.cancelling) == (JobState.RUNNING, True)
    assert desk.finish(job.id, me).state is JobState.CANCELLED


@pytest.mark.parametrize("asked_first", [True, False])
def test_a_job_whose_worker_is_dead_is_cancelled_by_whoever_comes(
    desk: JobQueue, workers: WorkerTable, asked_first: bool
) -> None:
    desk.submit(IRIS)
    me = workers.arrive()
    job = claimed(desk, me)
    if asked_first:
        desk.cancel(job.id)
        workers.leave(me)
        assert desk.claim(workers.arrive()) is None
    else:
        workers.leave(me)
        desk.cancel(job.id)
    assert desk.get(job.id).state is JobState.CANCELLED


def test_a_job_of_a_dead_worker_goes_to_the_next(desk: JobQueue, workers: WorkerTable) -> None:
    desk.submit(IRIS)
    dead, next_ = workers.arrive(), workers.arrive()
    job = claimed(desk, dead)
    assert desk.claim(next_) is None, "its worker lives"
    workers.leave(dead)
    again = claimed(desk, next_)
    assert (again.id, again.worker, again.attempts) == (job.id, next_, 2)
    assert again.started_at == job.started_at
    for late in (
        lambda: desk.report(job.id, dead, 0.9, "late"),
        lambda: desk.finish(job.id, dead, result={}),
        lambda: desk.release(job.id, dead),
    ):
        with pytest.raises(LostError, match="another one carries it out"):
            late()
    assert desk.get(job.id) == again


def test_a_job_that_kills_its_workers_is_given_up(desk: JobQueue, workers: WorkerTable) -> None:
    poison, other = desk.submit(IRIS), desk.submit(IRIS)
    for _ in range(MAX_ATTEMPTS):
        worker = workers.arrive()
        assert claimed(desk, worker).id == poison.id
        workers.leave(worker)
    assert claimed(desk, workers.arrive()).id == other.id
    failed = desk.get(poison.id)
    assert failed.state is JobState.FAILED
    assert failed.error is not None
    assert failed.error.startswith(f"The worker died {MAX_ATTEMPTS} times")


def test_a_job_that_was_released_is_not_to_blame(desk: JobQueue, workers: WorkerTable) -> None:
    job = desk.submit(IRIS)
    for _ in range(MAX_ATTEMPTS + 1):
        worker = workers.arrive()
        assert claimed(desk, worker).attempts == 1
        assert desk.release(job.id, worker).state is JobState.QUEUED
    assert desk.get(job.id).worker is None


def test_a_job_that_is_released_while_cancelled_ends(desk: JobQueue, workers: WorkerTable) -> None:
    desk.submit(IRIS)
    me = workers.arrive()
    job = claimed(desk, me)
    desk.cancel(job.id)
    assert desk.release(job.id, me).state is JobState.CANCELLED


def test_a_pinned_job_is_for_its_worker_while_it_lives(
    desk: JobQueue, workers: WorkerTable
) -> None:
    me, other = workers.arrive(), workers.arrive()
    job = desk.submit(replace(IRIS, worker=me))
    assert desk.claim(other) is None
    workers.leave(me)
    assert claimed(desk, other).id == job.id


def test_a_worker_takes_what_it_can_and_what_it_asks_for(
    desk: JobQueue, workers: WorkerTable
) -> None:
    first, second = desk.submit(IRIS), desk.submit(LOAN)
    me = workers.arrive()
    assert desk.claim(me, lambda job: job.project == "wine") is None
    chosen = desk.claim(me, lambda job: job.project == "loan")
    assert chosen is not None
    assert chosen.id == second.id
    assert desk.claim(me, job_id=second.id) is None
    mine = desk.claim(me, job_id=first.id)
    assert mine is not None
    assert mine.id == first.id


def test_a_job_that_nobody_made_is_unknown(desk: JobQueue) -> None:
    for ask in (desk.get, desk.cancel):
        with pytest.raises(UnknownError, match="no such job"):
            ask("nothing")
