"""The heartbeat of a worker: a thread that says the process is alive, whatever else it does."""

import logging
import threading

from windlass.errors import StorageError
from windlass.jobs.workers import BEAT_SECONDS, Workers

_log = logging.getLogger(__name__)


class Heartbeat:
    """Beats until it is stopped. Says once when the database goes, and once when it is back."""

    def __init__(self, workers: Workers) -> None:
        self.worker = workers.arrive()
        self._workers = workers
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._beat, name="heartbeat", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Take the worker off the table."""
        self._stopping.set()
        self._thread.join(BEAT_SECONDS)
        try:
            self._workers.leave(self.worker)
        except StorageError as error:  # the others will find out by the silence
            _log.warning("left without a word", extra={"reason": str(error)})

    def _beat(self) -> None:
        away = False
        while not self._stopping.wait(BEAT_SECONDS):
            try:
                self._workers.beat(self.worker)
            except StorageError as error:
                if not away:
                    _log.warning("database away", extra={"reason": str(error)})
                away = True
                continue
            if away:
                _log.info("database back")
            away = False
