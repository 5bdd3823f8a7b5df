"""A process's place among the workers: it is known to be alive, and carries out one claimed job at a time."""

import logging
import time
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from windlass.core.loading import told
from windlass.errors import StorageError
from windlass.jobs.desk import LostError
from windlass.jobs.job import Job
from windlass.workflows.checkpoints import Abandoned, Cancelled, Lost, Made
from windlass.workflows.hands import RETRY_SECONDS, Hands
from windlass.workflows.heartbeat import Heartbeat
from windlass.workflows.kinds import work
from windlass.workflows.tidying import Tidying

if TYPE_CHECKING:
    from windlass.workflows.durable import Durable

_log = logging.getLogger(__name__)


class Runner:
    """Carries out jobs with these hands. Imports DBOS with the first one, or `get_ready`."""

    def __init__(self, hands: Hands, heartbeat: Heartbeat) -> None:
        self._hands = hands
        self._heartbeat = heartbeat
        self._durable: Durable | None = None
        self._tidying = Tidying(hands.registry.database, self.get_ready)

    def get_ready(self) -> "Durable":
        """Launch DBOS, unless that was done. Raises StorageError."""
        if self._durable is None:
            from windlass.workflows.durable import Durable

            settings, worker = self._hands.settings, self._hands.worker
            self._durable = Durable(settings, worker, partial(work, self._hands))
        return self._durable

    def run(self, job: Job) -> Job | None:
        """Carry out a job that was claimed, and tell the desk how it ended; the job, or None where it was lost.

        Raises StorageError where the work cannot be kept; the job is in the queue again.
        """
        hands, desk = self._hands, self._hands.desk
        _log.info("job begins", extra=_about(job))
        mine = (job.id, hands.worker)
        try:
            made = self.get_ready().carry_out(job.id, hands.stopping)
        except StorageError:
            self._told(partial(desk.release, *mine))
            raise
        except Lost:
            _log.warning("job lost to another worker", extra=_about(job))
            return None
        except Cancelled:
            ended = self._told(partial(desk.finish, *mine))
            self.get_ready().forget(job.id)
        except Abandoned:
            ended = self._told(partial(desk.release, *mine))
        except Exception as error:  # noqa: BLE001 - a fault of ours ends the job, not the worker
            _log.exception("job failed", extra=_about(job))
            reason = f"Unexpected {told(error)}. This is a fault of Windlass; please report it."
            ended = self._told(partial(desk.finish, *mine, error=reason))
        else:
            ended = self._told(partial(_finish, self._hands, job, made))
        if ended is not None:
            _log.info("job ended", extra=_about(ended))
        return ended

    def tidy(self) -> None:
        """Remove old jobs, unless that was done within the hour."""
        self._tidying.tidy()

    def close(self) -> None:
        """Let everything go."""
        self._heartbeat.stop()
        if self._durable is not None:
            self._durable.close()
        if self._hands.ready is not None:
            self._hands.ready.close()

    def _told(self, tell: Callable[[], Job]) -> Job | None:
        """Tell the desk, as soon as it can be reached; None where the job is not ours, or nobody is there."""
        while True:
            try:
                return tell()
            except LostError as error:
                _log.warning("job lost to another worker", extra={"reason": str(error)})
                return None
            except StorageError as error:
                _log.warning("waiting for the desk", extra={"reason": str(error)})
            if self._hands.stopping.is_set():
                return None  # the next worker finds what was kept, and tells
            time.sleep(RETRY_SECONDS)


def _finish(hands: Hands, job: Job, made: Made) -> Job:
    if "error" in made:
        return hands.desk.finish(job.id, hands.worker, error=made["error"])
    return hands.desk.finish(job.id, hands.worker, result=made)


def _about(job: Job) -> dict[str, object]:
    return {
        "job": job.id,
        "project": job.project,
        "state": job.state.value,
        "attempt": job.attempts,
        "error": job.error,
    }
