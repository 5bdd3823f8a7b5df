"""Runs the calls of all control routes: the stores, the threads that wait on them, the job watcher."""

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

THREADS = 2  # for calls of the database, and as many for the bundle store
MAX_WAITING = 256  # calls that run or wait; beyond, clients are asked to come again

T = TypeVar("T")

_log = logging.getLogger("windlass.control")


@dataclass(frozen=True)
class ControlTimings:
    """Times of the control plane, in seconds."""

    call: float = 20.0  # longest call of the registry, its time in the queue included
    retry: float = 2.0  # after which a registry that could not be opened is tried again
    poll: float = 0.25  # between two reads of the jobs that clients wait for
    heartbeat: float = 15.0  # after which a comment tells clients that a stream is alive
    stream_life: float = 600.0  # after which a client that still listens is to connect again


@dataclass(frozen=True)
class ControlStores:
    """The registry, and the job queue in its database.

    Both block: for threads only.
    """

    registry: "Registry"

    @property
    def queue(self) -> "JobQueue":
        """The job queue."""
        from windlass.jobs.queue import JobQueue

        return JobQueue(self.registry.database)


_TIMINGS = ControlTimings()


class ControlBackend:
    """Runs calls of the stores off the event loop; one for a process.

    `close` comes after the last response.
    """

    def __init__(
        self, open_registry: "Callable[[], Registry]", timings: ControlTimings = _TIMINGS
    ) -> None:
        """Nothing is opened before the first call."""
        self.timings = timings
        limits = RegistryLimits(THREADS, timings.call, MAX_WAITING, timings.retry)
        self._client = RegistryClient(open_registry, limits, "control")
        self._reading = DaemonExecutor(
            "control-reading", threads=THREADS, timeout=timings.call, max_pending=MAX_WAITING
        )
        self.watcher = JobWatcher(self._read_jobs, timings.poll)

    async def run(self, work: Callable[[ControlStores], T]) -> T:
        """Returns what `work` returns, from a thread. Raises what it raises, and Problem 503."""
        call = self._client.run(lambda registry: work(ControlStores(registry)))
        return await _or_unavailable(
            call,
            "The database does not answer. What was requested may still happen: look before you send it again.",
        )

    async def run_reading(self, work: Callable[[ControlStores], T]) -> T:
        """As `run`, on threads apart: for what reads bundles, so that a silent store holds up no decision."""
        call = self._client.run_on(self._reading, lambda registry: work(ControlStores(registry)))
        return await _or_unavailable(call, "The bundle store does not answer.")

    async def _read_jobs(self, ids: Sequence[str]) -> list[Job]:
        def read(stores: ControlStores) -> list[Job]:
            jobs = []
            for job_id in ids:
                with suppress(UnknownError):  # a restored database may lack it; the others go on
                    jobs.append(stores.queue.get(job_id))
            return stores.queue.with_worker_state(jobs)

        return await self.run(read)

    def close(self) -> None:
        """Takes no more calls, and closes the stores."""
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
