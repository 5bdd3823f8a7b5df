"""Workers and trainings that are killed at any moment: every job ends once, and makes one version."""

import os
import random
import signal
import time

import pytest
from tests.support.budget import IS_CI
from tests.support.job_workers import (
    ON_POSTGRES,
    ON_SQLITE,
    Bench,
    is_alive,
    make_heartbeats_older,
)
from tests.support.waiting import wait_until

from windlass.jobs.job import JobState
from windlass.jobs.queue import MAX_ATTEMPTS

LIFE_SECONDS = (0.5, 4.0) if IS_CI else (0.2, 2.0)  # of a worker; a forked one starts sooner


@ON_POSTGRES
def test_a_worker_killed_in_mid_training_leaves_the_job_to_the_next(bench: Bench) -> None:
    project = bench.project()
    worker = bench.worker(project)
    job = bench.submit(project, "wait")
    trainer = project.trainer()
    worker.kill()
    wait_until(lambda: not is_alive(trainer), "the end of a training whose worker died")
    assert bench.queue.get(job.id).state is JobState.RUNNING
    project.forget()
    bench.worker(project)
    project.trainer()
    project.go()
    assert bench.done(job)["version"] == "v1"
    assert bench.queue.get(job.id).attempts == 2
    assert [version.job_id for version in bench.versions(project)] == [job.id]
    assert bench.leftovers() == []


@pytest.mark.timeout(600)
def test_workers_killed_at_random_lose_and_double_nothing(bench: Bench) -> None:
    project, dice = bench.project(), random.Random(7)
    jobs = [bench.submit(project, seed=seed) for seed in range(3)]
    for _ in range(5):
        worker = bench.worker(ready=False)
        time.sleep(dice.uniform(*LIFE_SECONDS))  # any moment: it starts, trains, registers, settles
        worker.kill()
    bench.worker()
    ends = [bench.end(job) for job in jobs]
    succeeded = [end for end in ends if end.state is JobState.SUCCEEDED]
    blamed = [end for end in ends if end.state is JobState.FAILED]
    assert all(end.attempts == MAX_ATTEMPTS for end in blamed), blamed
    versions = bench.versions(project)
    assert [version.number for version in versions] == list(range(1, len(versions) + 1))
    by_job = {version.job_id: version.name for version in versions}
    assert len(by_job) == len(versions), "no job made two"
    assert [end.result and end.result["version"] for end in succeeded] == [
        by_job[e.id] for e in succeeded
    ]
    assert by_job.keys() <= {end.id for end in ends}
    for version in versions:
        assert bench.registry.fetch(version).digest == version.digest
    assert bench.leftovers() == []


@ON_SQLITE
def test_a_stopped_worker_gives_its_training_up(bench: Bench) -> None:
    project = bench.project()
    worker = bench.worker(project)
    job = bench.submit(project, "wait")
    trainer = project.trainer()
    assert worker.stop() == 0, "the training does not end before it may go on"
    wait_until(lambda: not is_alive(trainer), "its end")
    left = bench.queue.get(job.id)
    assert (left.state, left.worker, left.attempts) == (JobState.QUEUED, None, 0)
    project.go()
    bench.worker(project)
    assert bench.done(job)["version"] == "v1"


def test_a_worker_that_only_seemed_dead_does_no_harm(bench: Bench) -> None:
    project = bench.project()
    sleeper = bench.worker(project)
    job = bench.submit(project, "wait")
    old = project.trainer()
    sleeper.suspend(bench.settings)
    if not IS_CI:
        make_heartbeats_older(bench.registry.database)
    project.forget()
    bench.worker(project)
    wait_until(lambda: project.has_begun() and project.trainer() != old, "a takeover")
    sleeper.process.signal(signal.SIGCONT)
    wait_until(lambda: not is_alive(old), "the end of the training that was taken over")
    project.go()
    assert bench.done(job)["version"] == "v1"
    assert len(bench.versions(project)) == 1
    assert sleeper.stop() == 0


@ON_SQLITE
def test_a_training_that_is_killed_is_tried_once_more(bench: Bench) -> None:
    project = bench.project()
    bench.worker(project)
    job = bench.submit(project, "wait")
    killed = project.trainer()
    project.forget()
    os.kill(killed, signal.SIGKILL)
    assert project.trainer() != killed
    project.go()
    assert bench.done(job)["version"] == "v1"
    assert (bench.queue.get(job.id).attempts, bench.leftovers()) == (1, [])
    assert (bench.settings.home / "jobs.db").stat().st_mode & 0o777 == 0o600


@ON_SQLITE
def test_a_training_that_is_killed_twice_fails(bench: Bench) -> None:
    project = bench.project()
    bench.worker(project)
    job = bench.submit(project, "wait")
    for _ in range(2):
        killed = project.trainer()
        project.forget()
        os.kill(killed, signal.SIGKILL)
    failed = bench.end(job)
    assert not project.has_begun()
    assert (failed.state, failed.attempts) == (JobState.FAILED, 1)
    assert failed.error is not None
    assert "memory" in failed.error


@ON_POSTGRES
def test_what_a_dead_worker_staged_goes_with_the_next(bench: Bench) -> None:
    project = bench.project()
    worker = bench.worker(project)
    job = bench.submit(project, "wait")
    project.trainer()
    worker.kill()
    bench.queue.cancel(job.id)
    assert bench.leftovers() != []
    bench.worker(project)
    assert bench.leftovers() == []
