"""Durable work in this process, by DBOS: each finished step is kept, so that another worker goes on from there.

The desk decides who works on what; DBOS only remembers how far a piece of work has come.
"""

import logging
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from dbos import DBOS, DBOSConfig, SetWorkflowID, WorkflowHandle

from windlass.errors import StorageError
from windlass.settings import Settings
from windlass.workflows.execution.context import RunJob, StepResult, WorkerStopped

_STEPS = "1"  # goes up whenever the steps of a piece of work change, so that no old one goes on in new ones
_POLL_SECONDS = 0.2
_END_SECONDS = 6.0
_LOOK_SECONDS = 1.0
_FINAL = ("SUCCESS", "ERROR")


@dataclass
class _Outcome:
    """How the work on a job ended here: `left` is set once it has, `made` or `raised` say how."""

    job_id: str
    has_begun: bool = False
    left: threading.Event = field(default_factory=threading.Event)
    made: StepResult | None = None
    raised: BaseException | None = None


class DurableEngine:
    """DBOS, launched. One at a time in a process, as DBOS has it; `work` is what it carries out.

    Raises StorageError where it cannot use its database.
    """

    def __init__(self, settings: Settings, worker: str, work: RunJob) -> None:
        self._worker = worker
        self._queued = False  # whether DBOS has a queue of ours
        self._outcome = _Outcome("")
        _quieten()
        DBOS.destroy(destroy_registry=True)
        try:
            self._launch(_config(settings, worker), work)
        except Exception as error:
            DBOS.destroy(destroy_registry=True)
            reason = " ".join(str(error).split())[:300]
            raise StorageError(f"Jobs cannot be kept in their database: {reason}") from error

    def _launch(self, config: DBOSConfig, work: RunJob) -> None:
        DBOS(config=config)

        @DBOS.workflow(name="job")
        def job(job_id: str) -> StepResult:
            outcome = self._outcome
            if outcome.job_id != job_id:  # resumed too late: nobody waits for it any more
                raise WorkerStopped
            outcome.has_begun = True
            try:
                outcome.made = work(job_id, _checkpoint)
            except BaseException as error:
                outcome.raised = error
                raise
            finally:
                outcome.left.set()
            return outcome.made

        self._job = job
        DBOS.listen_queues([self._worker])
        DBOS.launch()

    def carry_out(self, job_id: str, give_up: threading.Event) -> StepResult:
        """Begin a job, or go on where it was left; returns what it made.

        Raises Stopped where `give_up` was set and the work did not begin, or does not end; and what the
        work raised.
        """
        outcome = self._outcome = _Outcome(job_id)
        known = DBOS.get_workflow_status(job_id)
        if known is None or known.status not in _FINAL:
            self._begin(job_id, is_new=known is None)
            self._wait(outcome, give_up)
        if outcome.raised is not None:
            raise outcome.raised
        if outcome.made is not None:
            return outcome.made
        handle: WorkflowHandle[StepResult] = DBOS.retrieve_workflow(job_id)
        return handle.get_result()

    def _wait(self, outcome: _Outcome, give_up: threading.Event) -> None:
        """Return once the work has ended: here, or, between our look and our asking for it, elsewhere."""
        looked = time.monotonic()
        while not outcome.left.wait(_POLL_SECONDS):
            if give_up.is_set():  # the work itself looks too, and needs a moment to end
                if not outcome.left.wait(_END_SECONDS if outcome.has_begun else 0):
                    raise WorkerStopped
            elif not outcome.has_begun and time.monotonic() - looked > _LOOK_SECONDS:
                looked = time.monotonic()
                known = DBOS.get_workflow_status(outcome.job_id)
                if known is not None and known.status in _FINAL:
                    return

    def _begin(self, job_id: str, *, is_new: bool) -> None:
        if is_new:
            with SetWorkflowID(job_id):
                DBOS.start_workflow(self._job, job_id)
            return
        # a queue of our own: whatever is resumed goes through one, and no other worker may take it
        self._queued = True
        DBOS.register_queue(self._worker, polling_interval_sec=_POLL_SECONDS)
        DBOS.resume_workflow(job_id, queue_name=self._worker)

    def forget(self, job_id: str) -> None:
        """Note that a job was cancelled."""
        DBOS.cancel_workflow(job_id)

    def erase(self, job_ids: Sequence[str]) -> None:
        """Remove what was kept of jobs that have ended; of those without any, nothing. Raises StorageError."""
        try:
            DBOS.delete_workflows(list(job_ids))
        except Exception as error:
            reason = " ".join(str(error).split())[:300]
            raise StorageError(f"The steps of old jobs cannot be removed: {reason}") from error

    def close(self) -> None:
        """Let DBOS go, and its queue of this process."""
        if self._queued:
            DBOS.delete_queue(self._worker)
        DBOS.destroy(destroy_registry=True)


def _checkpoint(name: str, step: Callable[[], StepResult]) -> StepResult:
    return DBOS.run_step({"name": name}, step)


def _config(settings: Settings, worker: str) -> DBOSConfig:
    if settings.database_url is None:
        settings.home.mkdir(parents=True, exist_ok=True)
        url = f"sqlite:///{(settings.home / 'jobs.db').resolve()}"
    else:
        url = settings.database_url
    return {
        "name": "windlass",
        "system_database_url": url,
        "dbos_system_schema": "dbos",
        "executor_id": worker,
        "application_version": _STEPS,
        "log_level": "WARNING",
        "sys_db_pool_size": 5,
        "use_listen_notify": False,  # nothing here waits for a notice, and poolers refuse LISTEN
        "notification_listener_polling_interval_sec": 0.2,  # in memory; it is how soon DBOS ends
    }


def _quieten() -> None:
    """Have DBOS' warnings go where ours go, and nothing to the terminal."""
    logger = logging.getLogger("dbos")
    logger.handlers[:] = [logging.NullHandler()]  # with a handler there, DBOS adds none of its own
    logger.propagate = True
    logger.setLevel(logging.WARNING)
