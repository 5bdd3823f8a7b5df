"""Streams a job's progress as server-sent events, to a bounded number of clients."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from zlib import crc32

import orjson

from windlass.control.backend import ControlTimings
from windlass.control.job_watcher import JobWatcher, wait_until
from windlass.jobs.job import Job, JsonObject, job_view
from windlass.web.problems import unavailable

MAX_STREAMS = 64  # of one worker process
DONE_EVENT = "done"  # the id of the last event

_START = b"retry: 2000\n\n"
_HEARTBEAT = b": still here\n\n"


class JobEventStreams:
    """The event streams of one process, at most MAX_STREAMS."""

    def __init__(self, watcher: JobWatcher, timings: ControlTimings) -> None:
        self.watcher, self.timings = watcher, timings
        self.count = 0

    def open(self, job: Job, last_seen: str) -> "JobEventStream":
        """Returns the events of a job after `last_seen`. Raises Problem 503 where there are too many streams."""
        if self.count >= MAX_STREAMS:
            raise unavailable(
                "Too many clients listen to events here. Ask for the job itself instead, or try again.",
                retry_after=5,
            )
        self.count += 1
        return JobEventStream(self, job, last_seen)


class JobEventStream:
    """Stream of one job's events to one client, which gets the newest state however slowly it reads."""

    def __init__(self, streams: JobEventStreams, job: Job, last_seen: str) -> None:
        self._streams = streams
        self._closed = False
        self._last_seen = last_seen
        self._events = self._follow(job)

    def __aiter__(self) -> AsyncIterator[bytes]:
        """Iterates over encoded events until the job is final or the stream's time is over."""
        return self._events

    async def aclose(self) -> None:
        """Ends the stream, and makes room for another one."""
        await self._events.aclose()
        if not self._closed:
            self._closed = True
            self._streams.count -= 1

    async def _follow(self, job: Job) -> AsyncGenerator[bytes, None]:
        loop, timings = asyncio.get_running_loop(), self._streams.timings
        ends = loop.time() + timings.stream_life
        if job.state.is_final and self._last_seen == DONE_EVENT:
            return
        yield _START
        with self._streams.watcher.watch(job) as watch:
            sent: Job | None = None
            while True:
                now = watch.job
                if event_id(now) != self._last_seen:
                    yield _encode_events(sent, now)
                sent, self._last_seen = now, event_id(now)
                if now.state.is_final or loop.time() > ends:
                    return
                while watch.job is now and loop.time() <= ends:
                    if not await wait_until(watch.changed(), timings.heartbeat, None):
                        yield _HEARTBEAT


def event_id(job: Job) -> str:
    """Returns the id of the last event of a job in this state: the same in every worker process."""
    if job.state.is_final:
        return DONE_EVENT
    facts = f"{job.state.value}{job.cancelling}{job.attempts}{job.progress!r}{job.message}"
    return f"{crc32(facts.encode()):08x}"


def _encode_events(before: Job | None, now: Job) -> bytes:
    """Returns what changed: `progress`, `message`, or `done` with the whole job. The last event has the id."""
    if now.state.is_final:
        return _encode_event("done", job_view(now), event_id(now))
    facts: JsonObject = {
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
    return b"".join(_encode_event(name, facts, ids) for name, ids in zip(names, ids, strict=True))


def _progress_state(job: Job) -> tuple[object, ...]:
    return job.state, job.cancelling, job.progress, job.attempts


def _encode_event(name: str, data: JsonObject, identity: str) -> bytes:
    line = f"id: {identity}\n" if identity else ""
    return b"%bevent: %b\ndata: %b\n\n" % (line.encode(), name.encode(), orjson.dumps(data))
