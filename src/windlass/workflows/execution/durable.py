"""DBOS in this process: its queues order, dispatch and own the work on jobs, and it keeps each finished step."""

import logging
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import NoReturn

from dbos import (
    DBOS,
    DBOSConfig,
    DBOSPortableJSONSerializer,
    SetEnqueueOptions,
    SetWorkflowID,
)
from dbos import error as dbos_errors
from dbos._serialization import DefaultSerializer

from windlass.core.atomic_files import create_private_file, make_private_folder
from windlass.errors import JobError, StorageError
from windlass.settings import Settings
from windlass.workflows.execution.context import (
    JobAbandoned,
    JobOwnershipLost,
    RunJob,
    StepResult,
    WorkerStopped,
)

# Raised when the steps of a job change, or how they are stored: no queue gives an old job to new steps. 2: as JSON.
_STEPS = "2"
_POLL_SECONDS = 0.2  # between looks at the queue of a project
_OWN_POLL_SECONDS = 0.05  # somebody waits for the job
_CLEANUP_SECONDS = 2.0
_REPEAT_SECONDS = 60.0  # between equal lines in the log
_UNFINISHED = ["ENQUEUED", "PENDING"]


@dataclass(frozen=True)
class Workflow:
    """What DBOS knows of a job: `worker` claimed it last, `queue` holds it, both None where there is none."""

    job_id: str
    status: str
    queue: str | None
    worker: str | None
    project: str | None
    steps: str | None

    @property
    def is_claimed(self) -> bool:
        """Whether a worker has claimed the job, and no outcome is recorded."""
        return self.status == "PENDING"

    @property
    def is_legacy(self) -> bool:
        """Whether a former version stored it, without DBOS queues or with other steps: it starts again."""
        return self.project is None or self.steps != _STEPS

    @property
    def is_enqueued(self) -> bool:
        """Whether the job waits in a queue of DBOS."""
        return self.status == "ENQUEUED"


class DurableEngine:
    """DBOS as one worker: it listens to one queue at a time, and `run_job` runs what it claims.

    A queue is named after a project or a worker. One engine a process, as DBOS has it. Every method raises
    StorageError where the database cannot be used.
    """

    def __init__(self, settings: Settings, worker: str, run_job: RunJob) -> None:
        self._config = _config(settings, worker)
        self._worker = worker
        self._run_job = run_job
        self._lock = threading.Lock()
        self._is_switching = False
        self._idle = threading.Event()
        self._idle.set()
        self._released: set[str] = set()  # claimed here, and released before their end
        self._is_launched = False
        self.queue: str | None = None  # that it listens to
        _configure_logs()
        _disable_pickle()
        DBOS.destroy(destroy_registry=True)

        @DBOS.workflow(name="job", max_recovery_attempts=None)
        def job(job_id: str) -> None:
            self._run(job_id)

        self._job = job

    @property
    def is_idle(self) -> bool:
        """Whether no job runs here."""
        return self._idle.is_set()

    def wait_idle(self, seconds: float) -> bool:
        """Waits until no job runs here, at most so many seconds; returns whether none does."""
        return self._idle.wait(seconds)

    def is_released(self, job_id: str) -> bool:
        """Whether this worker claimed the job and released it before its end: at a stop, or as it could not start."""
        return job_id in self._released

    def listen(self, queue: str | None) -> bool:
        """Launches DBOS to claim jobs from this queue only; False where a job runs here: nothing has changed."""
        with self._lock:
            if not self.is_idle:
                return False
            self._is_switching = True
        try:
            self._relaunch(queue)
        finally:
            self._is_switching = False
        return True

    def enqueue(self, job_id: str, project: str, queue: str) -> None:
        """Adds a job to a queue; a job that DBOS knows already is left as it is."""
        with self._using(), SetWorkflowID(job_id), SetEnqueueOptions(queue_partition_key=project):
            DBOS.enqueue_workflow(queue, self._job, job_id)

    def resume(self, job_id: str, queue: str) -> None:
        """Puts an unfinished job in a queue again; it continues after its last finished step."""
        self._released.discard(job_id)
        with self._using():
            DBOS.resume_workflow(job_id, queue_name=queue)

    def workflows(self, job_ids: Sequence[str]) -> dict[str, Workflow]:
        """Returns what DBOS knows of these jobs, and of all that are unfinished, by the job's id."""
        with self._using():
            rows = DBOS.list_workflows(status=_UNFINISHED, load_input=False, load_output=False)
            missing = sorted(set(job_ids) - {row.workflow_id for row in rows})
            if missing:
                rows += DBOS.list_workflows(
                    workflow_ids=missing, load_input=False, load_output=False
                )
        return {
            row.workflow_id: Workflow(
                row.workflow_id,
                row.status,
                row.queue_name,
                row.executor_id,
                row.queue_partition_key,
                row.app_version,
            )
            for row in rows
        }

    def erase(self, job_ids: Sequence[str]) -> None:
        """Removes the steps of jobs that have ended."""
        with self._using():
            DBOS.delete_workflows(list(job_ids))

    def close(self, seconds: float = 0.0) -> None:
        """Shuts DBOS down, once the running job has ended or after so many seconds; removes the own queue."""
        self.wait_idle(seconds)
        self._is_switching = True
        if self.queue == self._worker:
            # in a thread: DBOS waits for ever for a database that does not answer
            cleanup = threading.Thread(target=_delete_queue, args=[self._worker], daemon=True)
            cleanup.start()
            cleanup.join(_CLEANUP_SECONDS)
        DBOS.destroy(destroy_registry=True)

    @contextmanager
    def _using(self) -> Iterator[None]:
        """Launches DBOS again where the last launch failed. Errors become StorageError."""
        if not self._is_launched:
            self._relaunch(self.queue)
        with _errors():
            yield

    def _run(self, job_id: str) -> None:
        with self._lock:
            if self._is_switching or not self.is_idle:
                self._released.add(job_id)
                raise WorkerStopped
            self._idle.clear()
            self._released.discard(job_id)
        try:
            self._run_job(job_id, _checkpoint)
        except JobAbandoned:
            self._released.add(job_id)
            raise
        finally:
            self._idle.set()

    def _relaunch(self, queue: str | None) -> None:
        self._launch(queue)
        if queue is None:
            self._is_launched = True
            return
        with _errors():
            is_new = DBOS.retrieve_queue(queue) is None
            DBOS.register_queue(
                queue,
                partition_concurrency=1,
                worker_concurrency=1,
                polling_interval_sec=_OWN_POLL_SECONDS if queue == self._worker else _POLL_SECONDS,
            )
        if is_new:  # DBOS looks for queues at launch, and a second later
            self._launch(queue)
        self._is_launched = True

    def _launch(self, queue: str | None) -> None:
        self._is_launched = False
        self.queue = queue
        DBOS.destroy()
        try:
            DBOS(config=self._config)
            DBOS.listen_queues([] if queue is None else [queue])
            DBOS.launch()
        except Exception as error:
            DBOS.destroy()
            reason = " ".join(str(error).split())[:300]
            raise StorageError(f"Jobs cannot be kept in their database: {reason}") from error


def _delete_queue(name: str) -> None:
    with suppress(Exception):  # a row that is left does no harm
        DBOS.delete_queue(name)


def _checkpoint(name: str, step: Callable[[], StepResult]) -> StepResult:
    try:
        return DBOS.run_step({"name": name}, step)
    except dbos_errors.DBOSWorkflowConflictIDError as conflict:
        raise JobOwnershipLost from conflict


@contextmanager
def _errors() -> Iterator[None]:
    try:
        yield
    except Exception as error:
        reason = " ".join(str(error).split())[:300]
        raise StorageError(f"DBOS cannot use the database of jobs: {reason}") from error


def _config(settings: Settings, worker: str) -> DBOSConfig:
    if settings.database_url is None:
        make_private_folder(settings.home)
        file = (settings.home / "jobs.db").resolve()
        create_private_file(file)
        url = f"sqlite:///{file}"
    else:
        url = settings.database_url
    return {
        "name": "windlass",
        "system_database_url": url,
        "dbos_system_schema": "dbos",
        "executor_id": worker,
        "application_version": _STEPS,
        "serializer": DBOSPortableJSONSerializer(),
        "log_level": "WARNING",
        "sys_db_pool_size": 5,
        "use_listen_notify": False,  # nothing here waits for a notice, and poolers refuse LISTEN
        "notification_listener_polling_interval_sec": 0.2,  # in memory; it is how soon DBOS ends
    }


def _disable_pickle() -> None:
    """Has DBOS unpickle nothing: whoever can write to its tables could else run code in every worker.

    DBOS reads each row in the form that the row names, whatever serializer is configured, and pickle is its default.
    """
    DefaultSerializer.deserialize = _raise_pickle_error  # type: ignore[assignment, method-assign]


def _raise_pickle_error(_: DefaultSerializer, serialized_data: str) -> NoReturn:  # noqa: ARG001 - DBOS's argument
    raise JobError("A step is stored as a pickle, which is not read. Submit the job again.")


class _DropRepeated(logging.Filter):
    """Drops a line that was logged within _REPEAT_SECONDS: in an outage DBOS repeats its lines."""

    def __init__(self) -> None:
        super().__init__()
        self._logged: dict[str, float] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        text, now = record.getMessage()[:60], time.monotonic()
        is_new = now - self._logged.get(text, -_REPEAT_SECONDS) >= _REPEAT_SECONDS
        if is_new:
            self._logged[text] = now
        return is_new


def _configure_logs() -> None:
    """Sends the warnings of DBOS where ours go, and nothing to the terminal."""
    logger = logging.getLogger("dbos")
    logger.handlers[:] = [logging.NullHandler()]  # with a handler there, DBOS adds none of its own
    logger.filters[:] = [_DropRepeated()]
    logger.propagate = True
    logger.setLevel(logging.WARNING)
