import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace

import pytest
from tests.support.job_workers import begin_next

from windlass.errors import JobError, UnknownError
from windlass.jobs.job import Job, JobState
from windlass.jobs.queue import (
    MAX_ATTEMPTS,
    JobLimitError,
    JobLimits,
    JobNotOwnedError,
    JobQueue,
    JobRequest,
    ProjectBusyError,
    state_change,
)
from windlass.jobs.workers import WorkerTable
from windlass.storage.database import Database

IRIS = JobRequest("iris", "train", {"seed": 1}, "ada")
LOAN = replace(IRIS, project="loan")


def claimed(queue: JobQueue, worker: str) -> Job:
    job = begin_next(queue, worker)
    assert job is not None
    return job


def recover(queue: JobQueue, job: Job) -> None:
    """What happens to the job of a dead worker."""
    with state_change(queue._database) as connection:
        queue.recover(connection, job)


def test_a_job_goes_from_the_queue_to_its_result(queue: JobQueue, workers: WorkerTable) -> None:
    submitted = queue.submit(IRIS)
    assert (submitted.state, submitted.project, submitted.asked_by) == (
        JobState.QUEUED,
        "iris",
        "ada",
    )
    assert submitted.request == {"seed": 1}
    me = workers.register()
    job = claimed(queue, me)
    assert (job.id, job.state, job.worker, job.attempts) == (submitted.id, JobState.RUNNING, me, 1)
    assert job.started_at is not None
    queue.report(job.id, me, 0.5, "Fitting")
    assert (queue.get(job.id).progress, queue.get(job.id).message) == (0.5, "Fitting")
    done = queue.finish(job.id, me, result={"version": "v1"})
    assert (done.state, done.progress, done.result) == (JobState.SUCCEEDED, 1.0, {"version": "v1"})
    assert done.finished_at is not None
    assert done.finished_at >= job.started_at >= done.created_at
    assert queue.get(job.id) == done
    assert queue.begin(job.id, me) is None


def test_open_jobs_of_a_project_and_of_a_requester_are_limited(
    database: Database, workers: WorkerTable
) -> None:
    queue = JobQueue(database, JobLimits(of_project=3, of_requester=2))
    for _ in range(2):
        queue.submit(IRIS)
    with pytest.raises(JobLimitError, match=r"2 jobs of ada in project iris .* DELETE /iris/jobs"):
        queue.submit(IRIS)
    queue.submit(LOAN)
    keyed = queue.submit(replace(IRIS, asked_by="bob", idempotency_key="k"))
    with pytest.raises(JobLimitError, match="3 jobs of project iris"):
        queue.submit(replace(IRIS, asked_by="eve"))
    assert queue.submit(replace(IRIS, asked_by="bob", idempotency_key="k")) == keyed
    me = workers.register()
    queue.finish(claimed(queue, me).id, me, error="No.")
    assert queue.submit(IRIS).state is JobState.QUEUED


def test_open_jobs_of_a_project_are_cancelled_together(
    queue: JobQueue, workers: WorkerTable
) -> None:
    me = workers.register()
    ended, running, *queued = (queue.submit(IRIS) for _ in range(4))
    other = queue.submit(LOAN)
    queue.finish(claimed(queue, me).id, me, error="No.")
    assert claimed(queue, me).id == running.id
    cancelled = queue.cancel_all("iris", JobState.QUEUED)
    assert [(job.id, job.state) for job in cancelled] == [
        (job.id, JobState.CANCELLED) for job in queued
    ]
    (cancelling,) = queue.cancel_all("iris")
    assert (cancelling.id, cancelling.state, cancelling.cancelling) == (
        running.id,
        JobState.RUNNING,
        True,
    )
    workers.unregister(me)
    assert [job.state for job in queue.cancel_all("iris")] == [JobState.CANCELLED]
    assert queue.cancel_all("iris") == []
    assert queue.get(ended.id).state is JobState.FAILED
    assert queue.get(other.id).state is JobState.QUEUED


def test_jobs_are_begun_in_their_order_one_a_project(queue: JobQueue, workers: WorkerTable) -> None:
    first, second, other = queue.submit(IRIS), queue.submit(IRIS), queue.submit(LOAN)
    me, you = workers.register(), workers.register()
    assert claimed(queue, me).id == first.id
    assert queue.running("iris") == queue.get(first.id)
    assert claimed(queue, you).id == other.id, "the second of iris waits for the first"
    with pytest.raises(ProjectBusyError, match=f"Job {first.id} of project iris is running"):
        queue.begin(second.id, you)
    queue.finish(first.id, me, error="It was not to be.")
    assert claimed(queue, you).id == second.id
    assert queue.get(first.id).error == "It was not to be."


@contextmanager
def beating(workers: WorkerTable, names: list[str]) -> Iterator[None]:
    """Has all of these workers beat, whatever else they do: on a busy machine, one may wait long for the others."""
    ended = threading.Event()

    def beat() -> None:
        while not ended.wait(0.2):
            for name in names:
                workers.beat(name)

    thread = threading.Thread(target=beat)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def test_many_workers_at_once_begin_each_job_once(database: Database, workers: WorkerTable) -> None:
    names = [workers.register() for _ in range(8)]
    for index in range(24):
        JobQueue(database).submit(replace(IRIS, project=f"p{index % 6}"))
    start = threading.Barrier(len(names))

    def work(worker: str) -> list[str]:
        queue, done = JobQueue(database), []
        start.wait()
        while any(not job.state.is_final for job in queue.list()):
            job = begin_next(queue, worker)
            if job is not None:
                running = [j.project for j in queue.list() if j.state is JobState.RUNNING]
                assert len(running) == len(set(running))
                queue.finish(job.id, worker, result={})
                done.append(job.id)
        return done

    with beating(workers, names), ThreadPoolExecutor(len(names)) as pool:
        done = [job for begun in pool.map(work, names) for job in begun]
    assert sorted(done) == sorted(job.id for job in JobQueue(database).list())
    assert {job.attempts for job in JobQueue(database).list()} == {1}


def test_the_newest_jobs_are_listed_first(queue: JobQueue) -> None:
    submitted = [queue.submit(order).id for order in (IRIS, LOAN, IRIS)]
    assert [job.id for job in queue.list()] == submitted[::-1]
    assert [job.id for job in queue.list("iris")] == [submitted[2], submitted[0]]
    assert [job.id for job in queue.list(limit=1)] == [submitted[2]]


def test_an_idempotency_key_submits_once(queue: JobQueue) -> None:
    order = replace(IRIS, idempotency_key="k" * 255)
    with ThreadPoolExecutor(4) as pool:
        jobs = list(pool.map(lambda _: queue.submit(order), range(8)))
    assert len({job.id for job in jobs}) == 1
    assert queue.submit(replace(LOAN, idempotency_key="k" * 255)).id != jobs[0].id
    with pytest.raises(JobError, match=f"was used for job {jobs[0].id}"):
        queue.submit(replace(order, request={"seed": 2}))
    for key in ("", "k" * 256):
        with pytest.raises(JobError, match="1 to 255 characters"):
            queue.submit(replace(IRIS, idempotency_key=key))


def test_a_queued_job_is_cancelled_at_once(queue: JobQueue, workers: WorkerTable) -> None:
    job = queue.submit(IRIS)
    assert queue.cancel(job.id).state is JobState.CANCELLED
    assert queue.begin(job.id, workers.register()) is None
    with pytest.raises(JobError, match="has been cancelled: there is nothing left"):
        queue.cancel(job.id)


def test_a_running_job_is_cancelled_by_its_worker(queue: JobQueue, workers: WorkerTable) -> None:
    queue.submit(IRIS)
    me = workers.register()
    job = claimed(queue, me)
    cancelling = queue.cancel(job.id)
    assert (cancelling.state, cancelling.cancelling) == (JobState.RUNNING, True)
    assert queue.finish(job.id, me).state is JobState.CANCELLED


@pytest.mark.parametrize("requested_first", [True, False])
def test_a_job_of_a_dead_worker_is_cancelled_by_any_worker(
    queue: JobQueue, workers: WorkerTable, requested_first: bool
) -> None:
    queue.submit(IRIS)
    me = workers.register()
    job = claimed(queue, me)
    if requested_first:
        job = queue.cancel(job.id)
        workers.unregister(me)
        recover(queue, job)
    else:
        workers.unregister(me)
        queue.cancel(job.id)
    assert queue.get(job.id).state is JobState.CANCELLED


def test_a_job_of_a_dead_worker_goes_to_the_next(queue: JobQueue, workers: WorkerTable) -> None:
    queue.submit(IRIS)
    dead, next_ = workers.register(), workers.register()
    job = claimed(queue, dead)
    with pytest.raises(ProjectBusyError):
        queue.begin(job.id, next_)
    workers.unregister(dead)
    recover(queue, job)
    again = claimed(queue, next_)
    assert (again.id, again.worker, again.attempts) == (job.id, next_, 2)
    assert again.started_at == job.started_at
    for late in (
        lambda: queue.report(job.id, dead, 0.9, "late"),
        lambda: queue.finish(job.id, dead, result={}),
        lambda: queue.release(job.id, dead),
    ):
        with pytest.raises(JobNotOwnedError, match="another one carries it out"):
            late()
    assert queue.get(job.id) == again


def test_a_job_without_a_worker_says_so(queue: JobQueue, workers: WorkerTable) -> None:
    def message() -> str:
        (job,) = queue.with_worker_state([queue.get(submitted.id)])
        return job.message

    submitted = queue.submit(IRIS)
    assert message().startswith("Waiting for a worker, but no worker is running. Start one with")
    first, other = workers.register(), workers.register()
    assert message() == "Waiting for a worker"
    job = claimed(queue, first)
    queue.report(job.id, first, 0.5, "Fitting")
    assert message() == "Fitting"
    workers.unregister(first)
    assert message() == "Its worker has ended, and another one takes the job over."
    workers.unregister(other)
    assert message().startswith("Its worker has ended, and no worker is running. Start one with")
    queue.cancel(job.id)
    assert message() == "Cancelled"


def test_a_job_that_kills_its_workers_is_given_up(queue: JobQueue, workers: WorkerTable) -> None:
    poison, other = queue.submit(IRIS), queue.submit(IRIS)
    for _ in range(MAX_ATTEMPTS):
        worker = workers.register()
        job = claimed(queue, worker)
        assert job.id == poison.id
        recover(queue, job)
    assert claimed(queue, workers.register()).id == other.id
    failed = queue.get(poison.id)
    assert failed.state is JobState.FAILED
    assert failed.error is not None
    assert failed.error.startswith(f"The worker died {MAX_ATTEMPTS} times")


def test_a_job_that_was_released_is_not_to_blame(queue: JobQueue, workers: WorkerTable) -> None:
    job = queue.submit(IRIS)
    for _ in range(MAX_ATTEMPTS + 1):
        worker = workers.register()
        assert claimed(queue, worker).attempts == 1
        assert queue.release(job.id, worker).state is JobState.QUEUED
    assert queue.get(job.id).worker is None


def test_a_job_that_is_released_while_cancelled_ends(queue: JobQueue, workers: WorkerTable) -> None:
    queue.submit(IRIS)
    me = workers.register()
    job = claimed(queue, me)
    queue.cancel(job.id)
    assert queue.release(job.id, me).state is JobState.CANCELLED


def test_a_job_that_was_never_submitted_is_unknown(queue: JobQueue) -> None:
    for ask in (queue.get, queue.cancel):
        with pytest.raises(UnknownError, match="no such job"):
            ask("nothing")
