"""A job's progress as server-sent events, for as many clients as a worker can bear."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from zlib import crc32

import orjson

from windlass.control.job_watcher import JobWatch, JobWatcher, wait_until
from windlass.jobs.job import Job, Json, job_view
from windlass.web.problems import unavailable

MAX_STREAMS = 64  # of one worker process
HEARTBEAT_SECONDS = 15.0  # after which a comment tells proxies and clients that the stream is alive
LIFE_SECONDS = 600.0  # after which a client that still listens is to connect anew
DONE_EVENT = "done"  # the id of the last event

_START = b"retry: 2000\n\n"
_HEARTBEAT = b": still here\n\n"


class JobEventStreams:
    """The streams of this process, bounded in number."""

    def __init__(self, watches: JobWatcher) -> None:
        self._watches = watches
        self.open = 0

    def of(self, job: Job, last_seen: str) -> "JobEventStream":
        """The events of a job, from the one after `last_seen`. Raises Problem 503 where there are too many."""
        if self.open >= MAX_STREAMS:
            raise unavailable(
                "Too many clients listen to events here. Ask for the job itself instead, or try again.",
                retry_after=5,
            )
        self.open += 1
        return JobEventStream(self, self._watches, job, last_seen)


class JobEventStream:
    """The events of one job for one client, which gets the newest state however slowly it reads."""

    def __init__(
        self, streams: JobEventStreams, watches: JobWatcher, job: Job, last_seen: str
    ) -> None:
        self._streams: JobEventStreams | None = streams
        self._watches = watches
        self._last_seen = last_seen
        self._events = self._follow(job)

    def __aiter__(self) -> AsyncIterator[bytes]:
        """The events, each as its bytes, until the job is final or the stream's time is up."""
        return self._events

    async def aclose(self) -> None:
        """Make room for another stream."""
        await self._events.aclose()
        if self._streams is not None:
            self._streams.open -= 1
            self._streams = None

    async def _follow(self, job: Job) -> AsyncGenerator[bytes, None]:
        loop = asyncio.get_running_loop()
        ends = loop.time() + LIFE_SECONDS
        if job.state.is_final and self._last_seen == DONE_EVENT:
            return
        yield _START
        with self._watches.of(job) as watch:
            told: Job | None = None
            while True:
                now = watch.job
                if event_id(now) != self._last_seen:
                    yield _encode_events(told, now)
                told, self._last_seen = now, event_id(now)
                if now.state.is_final or loop.time() > ends:
                    return
                while watch.job is now and loop.time() <= ends:
                    if not await _changed(watch):
                        yield _HEARTBEAT


async def _changed(watch: JobWatch) -> bool:
    return await wait_until(watch.change(), HEARTBEAT_SECONDS, None)


def event_id(job: Job) -> str:
    """The id of the last event about a job as it is: the same wherever, and whoever, tells of it."""
    if job.state.is_final:
        return DONE_EVENT
    facts = f"{job.state.value}{job.cancelling}{job.attempts}{job.progress!r}{job.message}"
    return f"{crc32(facts.encode()):08x}"


def _encode_events(before: Job | None, now: Job) -> bytes:
    """What changed: `progress`, `message`, or `done` with the whole job. The last one bears the id."""
    if now.state.is_final:
        return _encode_event("done", job_view(now), event_id(now))
    facts: Json = {
        "job_id": now.id,
        "state": now.state.value,
        "cancelling": now.cancelling,
        "progress": now.progress,
        "message": now.message,
    }
    names = (
        []
        if before is not None and _progress_state(before) == _progress_state(now)
        else ["progress"]
    )
    if before is None or before.message != now.message:
        names.append("message")
    ids = [""] * (len(names) - 1) + [event_id(now)]
    return b"".join(
        _encode_event(name, facts, given) for name, given in zip(names, ids, strict=True)
    )


def _progress_state(job: Job) -> tuple[object, ...]:
    return job.state, job.cancelling, job.progress, job.attempts


def _encode_event(name: str, data: Json, identity: str) -> bytes:
    line = f"id: {identity}\n" if identity else ""
    return b"%bevent: %b\ndata: %b\n\n" % (line.encode(), name.encode(), orjson.dumps(data))
