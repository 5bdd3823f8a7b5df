"""Watches jobs for clients that wait: one task polls for all of them, however many they are."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from windlass.errors import WindlassError
from windlass.jobs.job import Job
from windlass.web.problems import Problem

_BATCH = 50  # jobs read in one call

_log = logging.getLogger("windlass.control")

Read = Callable[[Sequence[str]], Awaitable[list[Job]]]


class JobWatch:
    """A watched job, as it was read last."""

    def __init__(self, job: Job) -> None:
        self.job = job
        self.watchers = 0
        self._change_event = asyncio.Event()

    def update(self, job: Job) -> None:
        """Sets the job to what was read now, and wakes those who wait for a change."""
        if job != self.job:
            self.job = job
            self._change_event.set()
            self._change_event = asyncio.Event()

    def changed(self) -> Coroutine[Any, Any, bool]:
        """Waits until the job differs from what it is at this call."""
        return self._change_event.wait()

    async def finished(self) -> None:
        """Returns once the job is final."""
        while not self.job.state.is_final:
            await self.changed()


class JobWatcher:
    """Polls the jobs that are watched in this process; on the event loop only."""

    def __init__(self, read: Read, poll: float) -> None:
        """`poll` is the time between two reads, in seconds."""
        self._read = read
        self._poll_seconds = poll
        self._watched: dict[str, JobWatch] = {}
        self._task: asyncio.Task[None] | None = None
        self._failing = False

    @contextmanager
    def watch(self, job: Job) -> Iterator[JobWatch]:
        """Watches a job within the block."""
        watch = self._watched.setdefault(job.id, JobWatch(job))
        watch.update(job)
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
            await asyncio.sleep(self._poll_seconds)
            await self._refresh()
        self._task = None

    async def _refresh(self) -> None:
        """Reads the watched jobs; where that fails, the next round reads them again."""
        ids = [name for name, watch in self._watched.items() if not watch.job.state.is_final]
        try:
            for start in range(0, len(ids), _BATCH):
                for job in await self._read(ids[start : start + _BATCH]):
                    if job.id in self._watched:
                        self._watched[job.id].update(job)
        except Exception as error:  # noqa: BLE001 - if this task ended, all would wait in vain
            if not self._failing:
                is_ours = isinstance(error, (WindlassError, Problem))
                reason = str(error) if is_ours else f"{type(error).__name__}: {error}"
                _log.warning("jobs cannot be read", extra={"reason": reason})
            self._failing = True
            return
        if self._failing:
            _log.info("jobs are read again")
        self._failing = False

    def close(self) -> None:
        """Stops polling."""
        if self._task is not None:
            self._task.cancel()


async def wait_until(
    work: Coroutine[Any, Any, object], seconds: float, event: asyncio.Event | None
) -> bool:
    """Returns whether `work` was done before `seconds` had passed and before the event."""
    task: asyncio.Task[object] = asyncio.create_task(work)
    waiting: list[asyncio.Task[Any]] = [task]
    if event is not None:
        waiting.append(asyncio.create_task(event.wait()))
    try:
        await asyncio.wait(waiting, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        return task.done()
    finally:
        for waiter in waiting:
            waiter.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)
