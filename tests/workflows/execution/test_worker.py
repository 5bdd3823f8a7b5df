"""A worker process through outages, bad projects and stops."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import make_url
from tests.support.job_workers import Bench
from tests.support.tcp_proxy import TcpProxy
from tests.support.waiting import wait_until

from windlass.errors import ProjectError
from windlass.jobs.job import JobState
from windlass.workflows.execution.context import remove_stale_staging
from windlass.workflows.execution.worker import Worker


@pytest.fixture
def far_bench(tmp_path: Path, migrated_postgres_url: str) -> Iterator[Bench]:
    bench = Bench(tmp_path, migrated_postgres_url)
    yield bench
    bench.close()


def through(bench: Bench, wire: TcpProxy) -> str:
    """Have the bench's workers reach the database over a wire."""
    assert bench.settings.database_url is not None
    url = make_url(bench.settings.database_url).set(port=wire.port)
    bench.variables["WINDLASS_DATABASE_URL"] = url.render_as_string(hide_password=False)
    return bench.variables["WINDLASS_DATABASE_URL"]


def test_a_worker_waits_for_its_database(far_bench: Bench, wire: TcpProxy) -> None:
    through(far_bench, wire)
    wire.cut()
    project = far_bench.project()
    worker = far_bench.worker(project, ready=False)
    wait_until(lambda: "waiting for the database" in worker.log.read_text(), "a word about it")
    wire.mend()
    worker.wait_ready()
    assert far_bench.done(far_bench.submit(project))["version"] == "v1"


def test_a_training_outlives_an_outage_of_the_database(far_bench: Bench, wire: TcpProxy) -> None:
    through(far_bench, wire)
    project = far_bench.project()
    worker = far_bench.worker(project)
    job = far_bench.submit(project, "wait")
    trainer = project.trainer()
    wire.cut()
    wait_until(lambda: "database unavailable" in worker.log.read_text(), "a word about it")
    project.go()  # it ends while the database is away
    wait_until(lambda: "waiting for the registry" in worker.log.read_text(), "a word about that")
    wire.mend()
    assert far_bench.done(job)["version"] == "v1"
    assert far_bench.queue.get(job.id).attempts == 1
    assert project.trainer() == trainer, "trained once"
    events = [line["event"] for line in worker.lines()]
    assert events.count("database unavailable") == 1
    wait_until(
        lambda: "database available again" in worker.log.read_text(), "a word about its return"
    )


def test_a_stop_does_not_wait_for_a_database_that_is_away(far_bench: Bench, wire: TcpProxy) -> None:
    through(far_bench, wire)
    project = far_bench.project()
    worker = far_bench.worker(project)
    job = far_bench.submit(project, "wait")
    project.trainer()
    wire.cut()
    wait_until(lambda: "database unavailable" in worker.log.read_text(), "a word about it")
    assert worker.stop() == 0, "it is away until this has ended"
    assert far_bench.queue.get(job.id).state is JobState.RUNNING, "nobody could be told"
    project.go()
    wire.mend()
    far_bench.worker(project)
    assert far_bench.done(job)["version"] == "v1"


def test_projects_that_cannot_be_read_are_logged(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    broken, whole = bench.project("broken"), bench.project("whole")
    (broken.folder / "project.py").write_text("raise RuntimeError('not today')\n")
    with pytest.raises(ProjectError, match="RuntimeError: not today"):
        Worker(bench.settings, [broken.folder]).run()
    worker = bench.worker(broken, whole)
    (line,) = [line for line in worker.lines() if line["event"] == "project not read"]
    assert line["folder"] == str(broken.folder)
    assert "not today" in line["reason"]
    assert bench.done(bench.submit(whole))["version"] == "v1"


def test_a_worker_may_be_stopped_before_it_begins(bench: Bench) -> None:
    worker = Worker(bench.settings)
    worker.stop()
    worker.run()
    assert bench.queue.workers() == []


def test_staging_of_a_worker_that_lives_is_left_alone(bench: Bench) -> None:
    project = bench.project()
    bench.worker(project)
    job = bench.submit(project, "wait")
    project.trainer()
    staging = bench.settings.home / "jobs"
    (staging / "of a dead worker").mkdir()
    remove_stale_staging(staging, bench.queue)
    assert [folder.name for folder in bench.leftovers()] == [bench.queue.get(job.id).worker]
    project.go()
    bench.done(job)
    assert bench.leftovers() == []
    remove_stale_staging(bench.folder / "nowhere", bench.queue)
