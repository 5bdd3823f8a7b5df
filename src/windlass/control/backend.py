"""What every control route of a process works with: the stores, the threads that wait on them, the job watcher."""

import logging
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from windlass.control.job_watcher import JobWatcher
from windlass.errors import UnknownError
from windlass.jobs.job import Job
from windlass.web.offload import DaemonExecutor, QueueFullError, StuckError
from windlass.web.problems import unavailable
from windlass.web.registry_client import RegistryClient, RegistryLimits

if TYPE_CHECKING:
    from windlass.jobs.queue import JobQueue
    from windlass.registry.registry import Registry

THREADS = 2
MAX_WAITING = 256  # calls that run or wait; beyond, clients are asked to come again
TIMEOUT_SECONDS = 20.0  # for one call, its time in the queue included
RETRY_SECONDS = 2.0  # after which a registry that could not be opened is tried again

T = TypeVar("T")

_log = logging.getLogger("windlass.control")


@dataclass(frozen=True)
class ControlStores:
    """The registry, and the job queue over its database. Both wait on it: for threads only."""

    registry: "Registry"

    @property
    def queue(self) -> "JobQueue":
        """The queue of jobs."""
        from windlass.jobs.queue import JobQueue

        return JobQueue(self.registry.database)


class ControlBackend:
    """Runs calls of the stores off the event loop. One for a process; `close` after the last response."""

    def __init__(
        self, open_registry: "Callable[[], Registry]", timeout: float = TIMEOUT_SECONDS
    ) -> None:
        """`timeout`, in seconds, is for one call, its time in the queue included.

        Nothing is opened before the first call.
        """
        limits = RegistryLimits(THREADS, timeout, MAX_WAITING, RETRY_SECONDS)
        self._client = RegistryClient(open_registry, limits, "control")
        self._reading = DaemonExecutor(
            "control-reading", threads=THREADS, timeout=timeout, max_pending=MAX_WAITING
        )
        self.watcher = JobWatcher(self._read_jobs)

    async def run(self, work: Callable[[ControlStores], T]) -> T:
        """Returns what `work` returns, from a thread. Raises what it raises, and Problem 503."""
        call = self._client.run(lambda registry: work(ControlStores(registry)))
        return await _or_unavailable(
            call,
            "The database does not answer. What was asked for may still come to pass: look before you ask again.",
        )

    async def run_reading(self, work: Callable[[ControlStores], T]) -> T:
        """As `run`, on threads apart: for what reads bundles. A store that is silent holds up no decision."""
        call = self._client.run_on(self._reading, lambda registry: work(ControlStores(registry)))
        return await _or_unavailable(call, "The bundle store does not answer.")

    async def _read_jobs(self, ids: Sequence[str]) -> list[Job]:
        def read(stores: ControlStores) -> list[Job]:
            jobs = []
            for job_id in ids:
                with suppress(UnknownError):  # a restored database may lack it; the others go on
                    jobs.append(stores.queue.get(job_id))
            return jobs

        return await self.run(read)

    def close(self) -> None:
        """Take no more calls, and close the stores."""
        self.watcher.close()
        self._reading.close()
        self._client.close()


async def _or_unavailable(call: Awaitable[T], stuck: str) -> T:
    """The result of a call; Problem 503 where it did not return in time or was not taken."""
    try:
        return await call
    except StuckError:
        _log.error("registry does not answer", extra={"reason": stuck})
        raise unavailable(stuck, retry_after=5) from None
    except (QueueFullError, TimeoutError):
        raise unavailable("Too many requests wait for the database.") from None
