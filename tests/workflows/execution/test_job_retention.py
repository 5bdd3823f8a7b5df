"""Workers remove old jobs, with what DBOS kept of them; what the jobs made stays."""

import pytest
from sqlalchemy import create_engine, text
from tests.support.child_process import WINDLASS, run
from tests.support.job_workers import ON_SQLITE, Bench, bench, make_older
from tests.support.server import environment
from tests.support.waiting import wait_until

from windlass.errors import StorageError, UnknownError
from windlass.jobs.job import Job
from windlass.jobs.retention import JOB_SECONDS
from windlass.workflows.execution.runner import JobRetentionTask

__all__ = ["bench"]  # a fixture

YEARS = 10 * JOB_SECONDS
COUNTS = {
    "workflow_status": "SELECT count(*) FROM {}workflow_status WHERE workflow_uuid = :job",
    "operation_outputs": "SELECT count(*) FROM {}operation_outputs WHERE workflow_uuid = :job",
}


def rows(bench: Bench, job: Job) -> list[int]:
    """How many rows DBOS has of a job: of itself, and of its steps."""
    url, schema = bench.settings.database_url, "dbos."
    if url is None:
        url, schema = f"sqlite:///{bench.settings.home / 'jobs.db'}", ""
    engine = create_engine(url)
    with engine.connect() as connection:
        counts = [
            connection.execute(text(count.format(schema)), {"job": job.id}).scalar_one()
            for count in COUNTS.values()
        ]
    engine.dispose()
    return counts


def is_gone(bench: Bench, job: Job) -> bool:
    try:
        bench.queue.get(job.id)
    except UnknownError:
        return True
    return False


def test_the_next_workers_remove_what_is_old(bench: Bench) -> None:
    project = bench.project()
    worker = bench.worker(project)
    old, young = (bench.submit(project, seed=seed) for seed in (1, 2))
    for job in (old, young):
        bench.done(job)
    worker.stop()
    make_older(bench.registry.database, old, YEARS)
    assert [min(rows(bench, job)) > 0 for job in (old, young)] == [True, True]
    for _ in range(2):  # at once
        bench.worker(project)
    wait_until(lambda: is_gone(bench, old), "the end of the old one")
    assert rows(bench, old) == [0, 0]
    assert min(rows(bench, young)) > 0
    assert not is_gone(bench, young)
    assert [version.job_id for version in bench.versions(project)] == [old.id, young.id]
    assert bench.done(bench.submit(project, seed=3))["version"] == "v3"


@ON_SQLITE
def test_a_training_by_hand_removes_what_is_old_too(bench: Bench) -> None:
    project = bench.project()
    old = bench.queue.cancel(bench.submit(project).id)  # of which DBOS knows nothing
    make_older(bench.registry.database, old, YEARS)
    command = [WINDLASS, "train", project.folder, "--no-track"]
    run(command, env=environment(bench.settings.home), timeout=90).check()
    assert is_gone(bench, old)
    assert len(bench.queue.list()) == 1


@ON_SQLITE
def test_a_failed_removal_is_logged_and_ends_no_worker(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    old = bench.queue.cancel(bench.submit(bench.project()).id)
    make_older(bench.registry.database, old, YEARS)

    def away() -> None:
        raise StorageError("DBOS is away.")

    tidying = JobRetentionTask(bench.registry.database, away)  # type: ignore[arg-type]  # which has no DBOS to give
    for _ in range(2):
        tidying.remove_old_jobs()
    assert [record.getMessage() for record in caplog.records] == ["old jobs not removed"]
    assert not is_gone(bench, old), "to be found again an hour later"
