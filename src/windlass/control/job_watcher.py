"""Jobs that clients wait for, asked after by one task for all who wait, however many they are."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from windlass.errors import WindlassError
from windlass.jobs.job import Job
from windlass.web.problems import Problem

POLL_SECONDS = 0.25
_AT_ONCE = 50  # jobs read in one call

_log = logging.getLogger("windlass.control")

Read = Callable[[Sequence[str]], Awaitable[list[Job]]]


class JobWatch:
    """A job that is watched: as it was last seen."""

    def __init__(self, job: Job) -> None:
        self.job = job
        self.watchers = 0
        self._changed = asyncio.Event()

    def see(self, job: Job) -> None:
        """Take note of the job as it is now, and wake who waits for a change."""
        if job != self.job:
            self.job = job
            self._changed.set()
            self._changed = asyncio.Event()

    def change(self) -> Coroutine[Any, Any, bool]:
        """Waits until the job is another than it is now, where `now` is when this is called."""
        return self._changed.wait()

    async def end(self) -> None:
        """Return once the job is final."""
        while not self.job.state.is_final:
            await self.change()


class JobWatcher:
    """The jobs that are watched in this process. On the event loop only."""

    def __init__(self, read: Read) -> None:
        self._read = read
        self._watched: dict[str, JobWatch] = {}
        self._task: asyncio.Task[None] | None = None
        self._failing = False

    @contextmanager
    def of(self, job: Job) -> Iterator[JobWatch]:
        """Watch a job. Nobody asks after jobs that nobody watches any more."""
        watch = self._watched.setdefault(job.id, JobWatch(job))
        watch.see(job)
        watch.watchers += 1
        if self._task is None:
            self._task = asyncio.create_task(self._poll())
        try:
            yield watch
        finally:
            watch.watchers -= 1
            if not watch.watchers:
                del self._watched[job.id]

    async def _poll(self) -> None:
        while self._watched:
            await asyncio.sleep(POLL_SECONDS)
            await self._look()
        self._task = None

    async def _look(self) -> None:
        """See the jobs as they are now. Where they cannot be read, they are asked after in the next round."""
        ids = [name for name, watch in self._watched.items() if not watch.job.state.is_final]
        try:
            for start in range(0, len(ids), _AT_ONCE):
                for job in await self._read(ids[start : start + _AT_ONCE]):
                    if job.id in self._watched:
                        self._watched[job.id].see(job)
        except Exception as error:  # noqa: BLE001 - whatever it was: were this task to end, all would wait in vain
            if not self._failing:
                known = isinstance(error, (WindlassError, Problem))
                reason = str(error) if known else f"{type(error).__name__}: {error}"
                _log.warning("jobs cannot be read", extra={"reason": reason})
            self._failing = True
            return
        if self._failing:
            _log.info("jobs are read again")
        self._failing = False

    def close(self) -> None:
        """Ask no more."""
        if self._task is not None:
            self._task.cancel()


async def wait_until(
    work: Coroutine[Any, Any, object], seconds: float, event: asyncio.Event | None
) -> bool:
    """Whether `work` was done before the time was up and before the event."""
    task: asyncio.Task[object] = asyncio.create_task(work)
    waiting: list[asyncio.Task[Any]] = [task]
    if event is not None:
        waiting.append(asyncio.create_task(event.wait()))
    try:
        await asyncio.wait(waiting, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        return task.done()
    finally:
        for one in waiting:
            one.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)
