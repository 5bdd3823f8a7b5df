"""`POST /train`: queues a training job, and waits for it as long as the client prefers, up to a minute."""

from typing import TYPE_CHECKING, Any

import orjson

from windlass.control.backend import ControlBackend, ControlStores
from windlass.control.error_mapping import fault, too_many, unprocessable
from windlass.control.job_watcher import wait_until
from windlass.control.prefer_header import idempotency_key, parse_prefer
from windlass.control.request_body import read_json
from windlass.control.train_request import TrainBodySchema
from windlass.errors import JobError
from windlass.jobs.job import NO_WORKER, Job, JobState, JsonObject
from windlass.web.messages import Request, Response
from windlass.web.problems import Problem

if TYPE_CHECKING:
    from windlass.jobs.queue import JobQueue

MAX_WAITING = 128  # requests that wait for their jobs in one worker; others are answered at once
ANONYMOUS = "anonymous"  # actor of requests and decisions where WINDLASS_AUTH is off


class TrainRoutes:
    """Train route of one project."""

    def __init__(self, project: str, backend: ControlBackend) -> None:
        self._project = project
        self._backend = backend
        self._body: TrainBodySchema | None = None
        self._waiting = 0

    async def train(self, request: Request) -> Response:
        """Handles `POST /train`: 200 with the new version; 202 where the job goes on; 422 where it failed."""
        key, prefer = idempotency_key(request), parse_prefer(request)
        body = await read_json(request)
        actor = request.actor or ANONYMOUS

        def submit(stores: ControlStores) -> tuple[Job, str]:
            return self._submit(stores, body, actor, key)

        job, waits_for = await self._backend.run(submit)
        if prefer.seconds and self._waiting < MAX_WAITING:
            job = await self._settled(job, prefer.seconds, request)
        headers = [(b"preference-applied", prefer.applied)] if prefer.applied else []
        if job.state is JobState.SUCCEEDED:
            return Response(orjson.dumps(_trained(job)), headers=headers)
        if job.state.is_final:
            raise _failure(job)
        location = f"{request.head.path.rstrip('/').removesuffix('/train')}/jobs/{job.id}"
        message = waits_for if job.state is JobState.QUEUED else "Training is running."
        accepted = {"message": message, "job_id": job.id,
                    "state": job.state.value, "location": location}  # fmt: skip
        headers.append((b"location", location.encode()))
        return Response(orjson.dumps(accepted), status=202, headers=headers)

    def _submit(
        self, stores: ControlStores, body: Any, actor: str, key: str | None
    ) -> tuple[Job, str]:
        """Submits the job; returns it, and what it waits for while it is queued."""
        from windlass.jobs.queue import JobLimitError, JobRequest

        declaration = stores.registry.declaration(self._project)
        if self._body is None or self._body.declaration != declaration:
            self._body = TrainBodySchema(declaration)
        request = self._body.request(body)
        job_request = JobRequest(self._project, "train", request, actor, idempotency_key=key)
        try:
            job = stores.queue.submit(job_request)
        except JobLimitError as error:
            raise too_many(str(error), retry_after=60) from error
        except JobError as error:  # the draft's status for a key that came with another body
            raise unprocessable([fault("Idempotency-Key", str(error))], str(error)) from error
        return job, _waits_for(stores.queue, job) if job.state is JobState.QUEUED else ""

    async def _settled(self, job: Job, seconds: float, request: Request) -> Job:
        """Returns the job as it ended, or as it is once `seconds` have passed or the server drains."""
        self._waiting += 1
        try:
            with self._backend.watcher.watch(job) as watch:
                await wait_until(watch.finished(), seconds, request.shutdown)
                return watch.job
        finally:
            self._waiting -= 1


def _trained(job: Job) -> JsonObject:
    result = job.result or {}
    return {
        "message": "Training completed successfully.",
        "new_model_version": result.get("version"),
        "stage": result.get("stage"),
        "job_id": job.id,
        **{
            name: result[name]
            for name in ("digest", "metrics", "findings", "gates")
            if name in result
        },
    }


def _failure(job: Job) -> Problem:
    facts = {"job_id": job.id}
    if job.state is JobState.CANCELLED:
        return Problem(409, "The training was cancelled before its end.", facts=facts)
    return Problem(422, f"Training failed: {job.error or job.message}", facts=facts)


def _waits_for(queue: "JobQueue", job: Job) -> str:
    """Returns what a queued job waits for."""
    if not queue.workers():
        return f"Training is queued, but {NO_WORKER}"
    running = queue.running(job.project)
    if running is not None and running.id != job.id:
        return (
            f"Training is queued. It begins once job {running.id} of this project, which runs now, and those before"
            " it in the queue have ended."
        )
    return "Training is queued. It begins as soon as a worker is free for it."
