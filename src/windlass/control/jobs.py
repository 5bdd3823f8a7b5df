"""`/jobs`: lists, shows and cancels jobs, and streams their progress as server-sent events."""

import re

import orjson

from windlass.control.backend import ControlBackend, ControlStores
from windlass.control.job_events import DONE_EVENT, JobEventStreams
from windlass.control.request_body import choice, whole_number
from windlass.errors import UnknownError
from windlass.jobs.job import Job, JobState, job_view
from windlass.web.messages import Request, Response
from windlass.web.problems import Problem

MAX_LISTED = 1000
JOB_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
_OPEN_STATES = [state.value for state in JobState if not state.is_final]
_STREAM_HEADERS = [
    (b"cache-control", b"no-store"),
    (b"x-accel-buffering", b"no"),  # nginx would keep events back
]


class JobRoutes:
    """Job routes of one project."""

    def __init__(self, project: str, backend: ControlBackend, streams: JobEventStreams) -> None:
        self._project = project
        self._backend = backend
        self._streams = streams

    async def list(self, request: Request) -> Response:
        """Handles `GET /jobs`: the newest first, filtered by `?state=`, at most `?limit=`."""
        query = request.query()
        limit = whole_number(query, "limit", 100, MAX_LISTED)
        state = choice(query, "state", [state.value for state in JobState])

        def read(stores: ControlStores) -> bytes:
            jobs = stores.queue.list(self._project, MAX_LISTED if state else limit)
            selected = [job for job in jobs if state in (None, job.state.value)][:limit]
            views = map(job_view, stores.queue.with_worker_state(selected))
            return orjson.dumps({"jobs": list(views)})

        return Response(await self._backend.run(read))

    async def get(self, request: Request) -> Response:
        """Handles `GET /jobs/{job}`."""
        return _job_response(await self._backend.run(lambda stores: self._job(stores, request)))

    async def cancel(self, request: Request) -> Response:
        """Handles `DELETE /jobs/{job}`: 200 cancelled; 202 its worker was asked to stop it; 409 it has ended."""

        def cancel(stores: ControlStores) -> Job:
            return stores.queue.cancel(self._job(stores, request).id)

        job = await self._backend.run(cancel)
        return _job_response(job, 200 if job.state.is_final else 202)

    async def cancel_all(self, request: Request) -> Response:
        """Handles `DELETE /jobs`: open jobs of the project, of one `?state=`; 202 where workers were asked to stop."""
        state = choice(request.query(), "state", _OPEN_STATES)
        jobs = await self._backend.run(
            lambda stores: stores.queue.cancel_all(
                self._project, None if state is None else JobState(state)
            )
        )
        body = orjson.dumps({"jobs": [job_view(job) for job in jobs]})
        return Response(body, status=200 if all(job.state.is_final for job in jobs) else 202)

    async def events(self, request: Request) -> Response:
        """Handles `GET /jobs/{job}/events`: progress until the end; 204 to a client that has seen the last event."""
        job = await self._backend.run(lambda stores: self._job(stores, request))
        last_seen = (request.header(b"last-event-id") or b"").decode("latin-1")
        stream = self._streams.open(job, last_seen)
        has_all = job.state.is_final and last_seen == DONE_EVENT
        kind, status = b"text/event-stream; charset=utf-8", 204 if has_all else 200
        response = Response(b"", kind, status, _STREAM_HEADERS)
        response.stream = stream
        return response

    def _job(self, stores: ControlStores, request: Request) -> Job:
        name = request.path_params["job"]
        if JOB_ID.fullmatch(name):
            try:
                job = stores.queue.get(name)
            except UnknownError:
                pass
            else:
                if job.project == self._project:
                    return stores.queue.with_worker_state([job])[0]
        raise Problem(404, f"Project {self._project} has no such job. GET /jobs lists them.")


def _job_response(job: Job, status: int = 200) -> Response:
    return Response(orjson.dumps(job_view(job)), status=status)
