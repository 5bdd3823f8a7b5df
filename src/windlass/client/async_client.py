"""`windlass.AsyncClient`: a client of a server for code with an event loop."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Any, Self, TypeVar, overload

from windlass.client.client import EntityId, Event, is_many, train_arguments
from windlass.client.connection import (
    TIMEOUT,
    ServerAddress,
    build_request,
    import_httpx,
    open_http,
    to_response,
    translated_errors,
)
from windlass.client.exchange import (
    OpenStream,
    Operation,
    ReadLine,
    Request,
    Response,
    RetryPolicy,
    Send,
    Sleep,
)
from windlass.client.operations import Operations
from windlass.core.progress import Progress, show_progress
from windlass.errors import ServerUnreachableError

if TYPE_CHECKING:
    from windlass.client.results import (
        DecisionInfo,
        DecisionLog,
        EntityFeatures,
        JobInfo,
        Prediction,
        Predictions,
        VersionInfo,
    )

T = TypeVar("T")
_POLICY = RetryPolicy()


class AsyncClient:
    """Client of one project on a server, whose methods are awaited: otherwise as `Client`.

    Use it in an `async with` block, or `await` its `aclose`. Many calls may be awaited at once. Rows are encoded on the
    event loop: a very large frame holds it up for a moment.
    """

    def __init__(
        self,
        url: str,
        key: str | None = None,
        *,
        project: str | None = None,
        timeout: float | None = TIMEOUT,
        retries: RetryPolicy | int = _POLICY,
        **options: Any,
    ) -> None:
        """Arguments are those of `Client`; `options` are others of `httpx.AsyncClient`."""
        self._address = ServerAddress(url, key, project)
        policy = RetryPolicy(retries) if isinstance(retries, int) else retries
        self._operations = Operations(self._address.prefix, policy)
        self._http = open_http(import_httpx().AsyncClient, self._address, timeout, options)

    async def predict(self, row: Any, *, version: str | None = None) -> "Prediction":
        """As `Client.predict`."""
        return await self._run(self._operations.predict(row, version))

    async def predict_batch(self, rows: Any, *, version: str | None = None) -> "Predictions":
        """As `Client.predict_batch`."""
        return await self._run(self._operations.predict_batch(rows, version))

    @overload
    async def predict_by_id(
        self, entity: list[EntityId], *, at: Event | None = None, version: str | None = None
    ) -> "list[Prediction]": ...

    @overload
    async def predict_by_id(
        self, entity: EntityId, *, at: Event | None = None, version: str | None = None
    ) -> "Prediction": ...

    async def predict_by_id(
        self, entity: Any, *, at: Event | None = None, version: str | None = None
    ) -> Any:
        """As `Client.predict_by_id`."""
        if is_many(entity):
            return await self._run(self._operations.predict_by_ids(entity, at, version))
        return await self._run(self._operations.predict_by_id(entity, at, version))

    @overload
    async def features(
        self, entity: list[EntityId], *, at: Event | None = None
    ) -> "list[EntityFeatures]": ...

    @overload
    async def features(self, entity: EntityId, *, at: Event | None = None) -> "EntityFeatures": ...

    async def features(self, entity: Any, *, at: Event | None = None) -> Any:
        """As `Client.features`."""
        if is_many(entity):
            return await self._run(self._operations.features_of(entity, at))
        return await self._run(self._operations.features(entity, at))

    async def train(
        self,
        model: str | None = None,
        *,
        timeout: float | None = None,  # noqa: ASYNC109 - the wait ends, the training does not
        progress: Progress = True,
        **arguments: Any,
    ) -> "VersionInfo":
        """As `Client.train`."""
        with show_progress(progress) as report:
            request = train_arguments(model, timeout, report, arguments)
            return await self._run(self._operations.train(request))

    async def status(self) -> dict[str, Any]:
        """As `Client.status`."""
        return await self._run(self._operations.status())

    async def versions(self) -> "list[VersionInfo]":
        """As `Client.versions`."""
        return await self._run(self._operations.versions())

    async def version(self, name: str) -> "VersionInfo":
        """As `Client.version`."""
        return await self._run(self._operations.version(name))

    async def compare(self, first: str, second: str) -> dict[str, Any]:
        """As `Client.compare`."""
        return await self._run(self._operations.compare(first, second))

    async def approve(self, version: str, reason: str) -> "DecisionInfo":
        """As `Client.approve`."""
        return await self._run(self._operations.approve(version, reason))

    async def reject(self, version: str, reason: str) -> "DecisionInfo":
        """As `Client.reject`."""
        return await self._run(self._operations.reject(version, reason))

    async def rollback(self, reason: str, *, to: str | None = None) -> "DecisionInfo":
        """As `Client.rollback`."""
        return await self._run(self._operations.rollback(reason, to))

    async def decisions(self) -> "DecisionLog":
        """As `Client.decisions`."""
        return await self._run(self._operations.decisions())

    async def jobs(self, *, state: str | None = None, limit: int = 100) -> "list[JobInfo]":
        """As `Client.jobs`."""
        return await self._run(self._operations.jobs(state, limit))

    async def job(self, job_id: str) -> "JobInfo":
        """As `Client.job`."""
        return await self._run(self._operations.job(job_id))

    async def cancel_job(self, job_id: str) -> "JobInfo":
        """As `Client.cancel_job`."""
        return await self._run(self._operations.cancel_job(job_id))

    async def aclose(self) -> None:
        """Closes the connections."""
        await self._http.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    def __repr__(self) -> str:
        return f"AsyncClient({self._address})"

    async def _run(self, operation: Operation[T]) -> T:
        """Performs the effects of an operation; returns its result."""
        async with _Effects(self._http, self._address) as effects:
            try:
                effect = next(operation)
                while True:
                    try:
                        result = await effects.perform(effect)
                    except ServerUnreachableError as error:
                        effect = operation.throw(error)
                    else:
                        effect = operation.send(result)
            except StopIteration as end:
                value: T = end.value
                return value
            finally:
                operation.close()


class _Effects:
    """Performs effects by awaiting; holds at most one open stream."""

    def __init__(self, http: Any, address: ServerAddress) -> None:
        self._http = http
        self._address = address
        self._stream = AsyncExitStack()
        self._lines: AsyncIterator[str] | None = None

    async def perform(self, effect: Send | Sleep | OpenStream | ReadLine) -> Any:
        with translated_errors(self._address):
            match effect:
                case Send(request):
                    response = await self._http.send(build_request(self._http, request))
                    return to_response(response, response.content)
                case Sleep(seconds):
                    await self._stream.aclose()
                    return await _sleep(seconds)
                case OpenStream(request):
                    return await self._open(request)
                case ReadLine():
                    return None if self._lines is None else await anext(self._lines, None)

    async def _open(self, request: Request) -> Response:
        await self._stream.aclose()
        response = await self._http.send(build_request(self._http, request), stream=True)
        self._stream.push_async_callback(response.aclose)
        self._lines = response.aiter_lines()
        is_open = response.status_code == 200
        return to_response(response, b"" if is_open else await response.aread())

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stream.aclose()


async def _sleep(seconds: float) -> None:
    import anyio  # httpx needs it too, and works on any event loop that it knows

    await anyio.sleep(seconds)
