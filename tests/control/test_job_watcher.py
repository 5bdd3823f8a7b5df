"""One task asks after all jobs that are watched: whatever it meets, it goes on."""

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import replace

import pytest
from tests.support.server import TIMEOUT

from windlass.control.backend import ControlBackend
from windlass.control.job_watcher import JobWatch, JobWatcher
from windlass.errors import StorageError
from windlass.jobs.job import Job
from windlass.jobs.queue import JobQueue, JobRequest
from windlass.registry.registry import Registry

ORDER = JobRequest("iris", "train", {}, "ada")


async def ended(watch: JobWatch) -> None:
    """Return once the watch has seen its job's end."""
    async with asyncio.timeout(TIMEOUT):
        await watch.finished()


def test_an_error_of_any_kind_does_not_end_it(
    registry: Registry, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "windlass.control")
    queue = JobQueue(registry.database)
    job = queue.submit(ORDER)
    failures = iter([RuntimeError("a surprise"), StorageError("It is away."), KeyError("x")])

    async def read(ids: Sequence[str]) -> list[Job]:
        for failure in failures:
            raise failure
        return [queue.get(name) for name in ids]

    async def check() -> None:
        watcher = JobWatcher(read, 0.01)
        with watcher.watch(job) as watch:
            queue.cancel(job.id)
            await ended(watch)
        watcher.close()

    asyncio.run(check())
    reported = [(record.getMessage(), getattr(record, "reason", None)) for record in caplog.records]
    assert reported == [
        ("jobs cannot be read", "RuntimeError: a surprise"),
        ("jobs are read again", None),
    ]


def test_a_job_that_is_gone_does_not_hide_the_others(registry: Registry) -> None:
    queue = JobQueue(registry.database)
    job = queue.submit(ORDER)

    async def check() -> None:
        backend = ControlBackend(lambda: registry)
        with backend.watcher.watch(replace(job, id="gone")), backend.watcher.watch(job) as watch:
            queue.cancel(job.id)
            await ended(watch)
        backend.close()

    asyncio.run(check())
