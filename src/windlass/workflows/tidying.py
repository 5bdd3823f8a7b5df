"""Old jobs go, with the steps that DBOS kept of them: once an hour, by whichever worker is there."""

import logging
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from windlass.errors import StorageError
from windlass.jobs.retention import Retention
from windlass.storage.database import Database

if TYPE_CHECKING:
    from windlass.workflows.durable import Durable

EVERY_SECONDS = 3600.0

_log = logging.getLogger(__name__)


class Tidying:
    """Does so for one worker. What fails is tried again an hour later; no job waits for it."""

    def __init__(self, database: Database, durable: "Callable[[], Durable]") -> None:
        self._retention = Retention(database)
        self._durable = durable
        self._due = 0.0

    def tidy(self) -> None:
        """Remove what is kept no longer, unless that was done within the hour."""
        if time.monotonic() < self._due:
            return
        self._due = time.monotonic() + EVERY_SECONDS
        try:
            keys, jobs = self._retention.forget_keys(), self._remove_jobs()
        except StorageError as error:
            _log.warning("old jobs not removed", extra={"reason": str(error)})
            return
        if keys or jobs:
            _log.info("old jobs removed", extra={"jobs": jobs, "idempotency_keys": keys})

    def _remove_jobs(self) -> int:
        """DBOS's part first: a crash in between leaves jobs that are found again, and no steps without one."""
        removed = 0
        while ids := self._retention.outlived():
            self._durable().erase(ids)
            removed += self._retention.remove(ids)
        return removed
