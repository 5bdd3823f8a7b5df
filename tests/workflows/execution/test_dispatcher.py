"""Which queue of DBOS a job goes to, and when it is resumed: a real engine, and a table of workers."""

import os
import pickle
import shutil
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from dbos import DBOS, DBOSClient, EnqueueOptions, SetWorkflowID
from sqlalchemy import create_engine, text
from tests.support.waiting import wait_until

from windlass.jobs.job import Job, JobState
from windlass.jobs.queue import JobQueue, JobRequest, ProjectBusyError
from windlass.jobs.workers import WorkerTable
from windlass.registry.registry import Registry
from windlass.settings import Settings
from windlass.storage.database import Database
from windlass.workflows.execution.context import Checkpoint, WorkerStopped
from windlass.workflows.execution.dispatcher import Dispatcher
from windlass.workflows.execution.durable import DurableEngine, Workflow

IRIS = JobRequest("iris", "train", {"seed": 1}, "ada")


class DispatchSetup:
    """Jobs, workers, and this process as one of them; what it begins it leaves, unless it `finishes`."""

    def __init__(self, settings: Settings, database: Database) -> None:
        self.queue, self.workers = JobQueue(database), WorkerTable(database)
        self.begun: list[str] = []
        self.finishes = False
        self._settings, self._database = settings, database
        self._start()

    @property
    def url(self) -> str:
        """Where DBOS has its tables."""
        return self._settings.database_url or f"sqlite:///{self._settings.home / 'jobs.db'}"

    @property
    def schema(self) -> str:
        """What their names begin with in SQL."""
        return "" if self._settings.database_url is None else "dbos."

    def _start(self) -> None:
        self.me = self.workers.register()
        self.engine = DurableEngine(self._settings, self.me, self._run_job)
        self.engine.listen(None)
        self.dispatcher = Dispatcher(self._database, self.engine, self.me)

    def _run_job(self, job_id: str, checkpoint: Checkpoint) -> None:
        self.begun.append(job_id)
        with suppress(ProjectBusyError):
            self.queue.begin(job_id, self.me)
        if not self.finishes:
            raise WorkerStopped
        self.queue.finish(job_id, self.me, result={})

    def replace_worker(self) -> None:
        """Have this worker die, and another one take its place."""
        self.engine.close()
        self.workers.unregister(self.me)
        self._start()

    def dispatch(self, project: str = "iris") -> None:
        """Dispatch as a worker of this project does."""
        self.dispatcher.dispatch(lambda job: job.project == project)

    def workflow_of(self, job: Job) -> Workflow:
        """What DBOS knows of a job."""
        return self.engine.workflows([job.id])[job.id]


@pytest.fixture(params=["sqlite", "postgres"])
def setup(
    request: pytest.FixtureRequest, tmp_path: Path, sqlite_template: Path
) -> Iterator[DispatchSetup]:
    url = None
    if request.param == "postgres":
        url = request.getfixturevalue("migrated_postgres_url")
    else:
        shutil.copytree(sqlite_template.parent, tmp_path / "home")
    settings = Settings(home=tmp_path / "home", database_url=url)
    registry = Registry.open(settings)
    dispatch = DispatchSetup(settings, registry.database)
    yield dispatch
    dispatch.engine.close()
    registry.close()


def test_new_jobs_go_to_the_queue_of_their_project(setup: DispatchSetup) -> None:
    job, other = setup.queue.submit(IRIS), setup.queue.submit(JobRequest("loan", "train", {}, "a"))
    for _ in range(2):
        setup.dispatch()
    assert (setup.workflow_of(job).queue, setup.workflow_of(job).is_enqueued) == ("iris", True)
    assert other.id not in setup.engine.workflows([other.id]), "not for this worker"
    assert setup.dispatcher.next_project(lambda job: job.project != "iris") == "loan"


def test_jobs_of_a_project_begin_in_their_order(setup: DispatchSetup) -> None:
    setup.finishes = True
    jobs = [setup.queue.submit(IRIS).id for _ in range(6)]  # within one second
    assert setup.engine.listen("iris")

    def all_ended() -> bool:
        setup.workers.beat(setup.me)  # on a busy machine it would count as dead before the end
        setup.dispatch()
        return all(job.state.is_final for job in setup.queue.list())

    wait_until(all_ended, "the end of all")
    assert setup.begun == jobs


def test_a_pinned_job_is_for_its_worker_while_it_lives(setup: DispatchSetup) -> None:
    other = setup.workers.register()
    job = setup.queue.submit(JobRequest("iris", "train", {}, "ada", worker=other))
    setup.dispatch()
    assert setup.engine.workflows([job.id]) == {}
    assert setup.dispatcher.next_project(lambda _: True) is None
    setup.engine.enqueue(job.id, "iris", other)  # as the other does
    setup.dispatch()
    assert setup.workflow_of(job).queue == other
    setup.workers.unregister(other)
    setup.dispatch()
    assert setup.workflow_of(job).queue == "iris"
    assert setup.dispatcher.next_project(lambda _: True) == "iris"


def test_the_job_of_a_dead_worker_is_resumed(setup: DispatchSetup) -> None:
    job = setup.queue.submit(IRIS)
    setup.dispatch()
    assert setup.engine.listen("iris")
    wait_until(lambda: setup.engine.is_released(job.id), "a stop")
    assert (setup.workflow_of(job).worker, setup.workflow_of(job).is_claimed) == (setup.me, True)
    setup.replace_worker()
    assert setup.queue.get(job.id).state is JobState.RUNNING
    setup.dispatch("another")
    assert (setup.workflow_of(job).queue, setup.workflow_of(job).is_enqueued) == ("iris", True)
    left = setup.queue.get(job.id)
    assert (left.state, left.worker, left.attempts) == (JobState.QUEUED, None, 1)


def test_a_job_that_was_put_back_waits_until_its_project_is_free(setup: DispatchSetup) -> None:
    first, second = setup.queue.submit(IRIS), setup.queue.submit(IRIS)
    other = setup.workers.register()
    setup.queue.begin(first.id, other)
    setup.engine.enqueue(first.id, "iris", other)
    setup.engine.enqueue(second.id, "iris", "iris")
    assert setup.engine.listen("iris")
    wait_until(lambda: setup.engine.is_released(second.id), "a stop")
    for worker in (setup.me, other):  # on a busy machine they would count as dead by now
        setup.workers.beat(worker)
    setup.dispatch()
    assert (setup.workflow_of(second).is_claimed, setup.begun) == (True, [second.id])
    setup.queue.finish(first.id, other, result={})
    setup.dispatch()
    wait_until(lambda: setup.begun == [second.id] * 2, "a second attempt")


def test_a_job_begun_without_queues_is_begun_anew(setup: DispatchSetup) -> None:
    job = setup.queue.submit(IRIS)
    with SetWorkflowID(job.id):
        DBOS.start_workflow(setup.engine._job, job.id)
    wait_until(lambda: setup.engine.is_released(job.id), "a stop")
    setup.replace_worker()
    for _ in range(2):
        setup.dispatch()
    assert (setup.workflow_of(job).queue, setup.workflow_of(job).is_enqueued) == ("iris", True)
    assert setup.queue.get(job.id).attempts == 1


def test_a_job_whose_work_ended_without_a_word_fails(setup: DispatchSetup) -> None:
    job = setup.queue.submit(IRIS)
    setup.dispatch()
    DBOS.cancel_workflow(job.id)
    setup.dispatch()
    assert setup.queue.get(job.id).state is JobState.FAILED


def enqueue_as_before(setup: DispatchSetup, job: Job, steps: str, *arguments: Any) -> None:
    """Enqueues a job as an older Windlass did, with its arguments as a pickle."""
    client = DBOSClient(system_database_url=setup.url, application_name="windlass")
    options: EnqueueOptions = {
        "workflow_name": "job", "queue_name": "iris", "workflow_id": job.id, "app_version": steps,
        "queue_partition_key": "iris",
    }  # fmt: skip
    client.enqueue(options, *arguments)
    client.destroy()


def test_a_job_that_an_older_windlass_stored_is_done(setup: DispatchSetup) -> None:
    setup.finishes = True
    job = setup.queue.submit(IRIS)
    enqueue_as_before(setup, job, "1", job.id)
    setup.engine.listen("iris")
    assert setup.workflow_of(job).is_legacy
    setup.dispatch()  # removes what was stored
    setup.dispatch()
    wait_until(lambda: setup.queue.get(job.id).state is JobState.SUCCEEDED, "the job")
    assert setup.begun == [job.id]
    stored = create_engine(setup.url)
    with stored.connect() as connection:
        forms = connection.execute(text(f"SELECT serialization FROM {setup.schema}workflow_status"))
        assert set(forms.scalars()) == {"portable_json"}
    stored.dispose()


def test_a_pickle_in_the_tables_of_dbos_is_not_read(setup: DispatchSetup, tmp_path: Path) -> None:
    marker = tmp_path / "code-ran"
    job = setup.queue.submit(IRIS)
    enqueue_as_before(setup, job, "2", Payload(marker))
    setup.engine.listen("iris")
    wait_until(lambda: setup.workflow_of(job).status == "ERROR", "the refusal")
    setup.dispatch()
    failed = setup.queue.get(job.id)
    assert (failed.state, setup.begun, marker.exists()) == (JobState.FAILED, [], False)
    pickle.loads(pickle.dumps(Payload(marker)))  # it works
    assert marker.exists()


class Payload:
    """What an attacker writes into a table: to read it runs code."""

    def __init__(self, marker: Path) -> None:
        self._marker = marker

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self._marker),)
