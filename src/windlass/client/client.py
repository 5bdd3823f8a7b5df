"""`windlass.Client`: a blocking client of a server."""

import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing
from typing import TYPE_CHECKING, Any, Literal, Self, TypeVar, overload
from uuid import UUID

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
from windlass.client.operations import Operations, TrainArguments
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
Event = Literal["latest", "next"]
EntityId = int | str | UUID | tuple[int | str | UUID, ...]
_POLICY = RetryPolicy()


class Client:
    """Client of one project on a server; safe to share between threads.

    `close` it, or use it in a `with` block.

    A request is sent again where that is safe, as late as `Retry-After` says: after 429; a prediction, and what only
    reads, also after 503 and where the answer was lost. Every method raises `ClientError`: `ServerUnreachableError`
    without an answer, else a `ResponseError` with the server's problem (`status`, `title`, `detail`, `errors`).

    Args:
        url: URL of the server; it may end in the name of a project.
        key: API key. No text shows it.
        project: Name of the project. Not needed where the server has one.
        timeout: Seconds to wait for a connection, or for the next bytes of an answer. None: for ever.
        retries: How it tries again: `RetryPolicy(retries=3, max_wait=30.0)`, or the number of retries.
        options: Others of `httpx.Client`, such as `verify`, `proxy` or `transport`.
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
        self._address = ServerAddress(url, key, project)
        policy = RetryPolicy(retries) if isinstance(retries, int) else retries
        self._operations = Operations(self._address.prefix, policy)
        self._http = open_http(import_httpx().Client, self._address, timeout, options)

    def predict(self, row: Any, *, version: str | None = None) -> "Prediction":
        """Predicts one row.

        Args:
            row: A dict with a value by column, or a `Row`.
            version: Version that is or was in production. Default: the one that is.

        Raises:
            UnprocessableError: The row is not valid, or the model has no prediction for it; `errors` says where.
        """
        return self._run(self._operations.predict(row, version))

    def predict_batch(self, rows: Any, *, version: str | None = None) -> "Predictions":
        """Predicts many rows, in as many requests as they need: every row gets an answer, or an error is raised.

        Args:
            rows: A data frame (pandas, Polars or Arrow) [n, k], a list of dicts [n], or the path of a CSV, Parquet or
                Arrow file.
            version: Version that is or was in production. Default: the one that is. All rows get the same.

        Raises:
            UnprocessableError: Rows are not valid, or the model has no prediction for them; `errors` names up to 100 of
                them as [row, column], rows counted from 0.
            InputError: The rows, or the file, cannot be read.
        """
        return self._run(self._operations.predict_batch(rows, version))

    @overload
    def predict_by_id(
        self, entity: list[EntityId], *, at: Event | None = None, version: str | None = None
    ) -> "list[Prediction]": ...

    @overload
    def predict_by_id(
        self, entity: EntityId, *, at: Event | None = None, version: str | None = None
    ) -> "Prediction": ...

    def predict_by_id(
        self, entity: Any, *, at: Event | None = None, version: str | None = None
    ) -> Any:
        """Predicts from the stored features of an entity, or of several.

        Args:
            entity: Id, or a list of ids. The id of several columns is a tuple, in the order of the view.
            at: Event that the features are for: `"latest"` or `"next"`. Default: what the view serves.
            version: Version that is or was in production. Default: the one that is.

        Returns:
            A prediction with the features used; for a list one for each id, in order. Those that cannot be made have
            `prediction` None and an `error`: `unknown` or `unfit`.

        Raises:
            NotFoundError: The store does not know the one id.
        """
        if is_many(entity):
            return self._run(self._operations.predict_by_ids(entity, at, version))
        return self._run(self._operations.predict_by_id(entity, at, version))

    @overload
    def features(
        self, entity: list[EntityId], *, at: Event | None = None
    ) -> "list[EntityFeatures]": ...

    @overload
    def features(self, entity: EntityId, *, at: Event | None = None) -> "EntityFeatures": ...

    def features(self, entity: Any, *, at: Event | None = None) -> Any:
        """Returns the stored features of an entity, or of several, in order.

        Arguments and errors are those of `predict_by_id`; an unknown entity of a list has `values` None and an `error`.
        """
        if is_many(entity):
            return self._run(self._operations.features_of(entity, at))
        return self._run(self._operations.features(entity, at))

    def train(
        self,
        model: str | None = None,
        *,
        timeout: float | None = None,
        progress: Progress = True,
        **arguments: Any,
    ) -> "VersionInfo":
        """Trains a version on the server, and waits for it.

        An interrupt ends the wait, and not the training.

        Args:
            model: Name of the candidate. Default: the project's first one.
            timeout: Seconds to wait. Default: until the training has ended.
            progress: Whether to show a progress bar; or a function, called with the share done (0 to 1) and a message.
            arguments: `seed`, `test_size`, `snapshot`, and hyperparameters by name.

        Returns:
            The version that was registered: a candidate, or in production where the project's policy says so.

        Raises:
            UnprocessableError: An argument is not valid; nothing was queued.
            TrainingFailedError: The training failed, or was cancelled.
        """
        with show_progress(progress) as report:
            request = train_arguments(model, timeout, report, arguments)
            return self._run(self._operations.train(request))

    def status(self) -> dict[str, Any]:
        """Returns the status of the project: its live version, requests, errors and latencies."""
        return self._run(self._operations.status())

    def versions(self) -> "list[VersionInfo]":
        """Returns all versions of the project, newest first."""
        return self._run(self._operations.versions())

    def version(self, name: str) -> "VersionInfo":
        """Returns a version by name, such as `v3`."""
        return self._run(self._operations.version(name))

    def compare(self, first: str, second: str) -> dict[str, Any]:
        """Compares two versions on the rows that neither was trained on; returns metrics with intervals."""
        return self._run(self._operations.compare(first, second))

    def approve(self, version: str, reason: str) -> "DecisionInfo":
        """Puts a candidate in production. Raises ConflictError where gates, stage or the four-eyes rule forbid it."""
        return self._run(self._operations.approve(version, reason))

    def reject(self, version: str, reason: str) -> "DecisionInfo":
        """Rejects a candidate, for good. Raises ConflictError where it is not one."""
        return self._run(self._operations.reject(version, reason))

    def rollback(self, reason: str, *, to: str | None = None) -> "DecisionInfo":
        """Returns to a version that was in production, by default the one before. Raises ConflictError."""
        return self._run(self._operations.rollback(reason, to))

    def decisions(self) -> "DecisionLog":
        """Returns all decisions, oldest first, and whether their chain is intact."""
        return self._run(self._operations.decisions())

    def jobs(self, *, state: str | None = None, limit: int = 100) -> "list[JobInfo]":
        """Returns jobs of the project, newest first, of one `state` where it is given."""
        return self._run(self._operations.jobs(state, limit))

    def job(self, job_id: str) -> "JobInfo":
        """Returns a job by its id."""
        return self._run(self._operations.job(job_id))

    def cancel_job(self, job_id: str) -> "JobInfo":
        """Cancels a job; a running one ends a little later. Raises ConflictError where it has ended."""
        return self._run(self._operations.cancel_job(job_id))

    def close(self) -> None:
        """Closes the connections."""
        self._http.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"Client({self._address})"

    def _run(self, operation: Operation[T]) -> T:
        """Performs the effects of an operation; returns its result."""
        with _Effects(self._http, self._address) as effects, closing(operation):
            try:
                effect = next(operation)
                while True:
                    try:
                        result = effects.perform(effect)
                    except ServerUnreachableError as error:
                        effect = operation.throw(error)
                    else:
                        effect = operation.send(result)
            except StopIteration as end:
                value: T = end.value
                return value


class _Effects:
    """Performs effects by blocking; holds at most one open stream."""

    def __init__(self, http: Any, address: ServerAddress) -> None:
        self._http = http
        self._address = address
        self._stream = ExitStack()
        self._lines: Iterator[str] = iter(())

    def perform(self, effect: Send | Sleep | OpenStream | ReadLine) -> Any:
        with translated_errors(self._address):
            match effect:
                case Send(request):
                    response = self._http.send(build_request(self._http, request))
                    return to_response(response, response.content)
                case Sleep(seconds):
                    self._stream.close()
                    time.sleep(seconds)
                    return None
                case OpenStream(request):
                    return self._open(request)
                case ReadLine():
                    return next(self._lines, None)

    def _open(self, request: Request) -> Response:
        self._stream.close()
        response = self._http.send(build_request(self._http, request), stream=True)
        self._stream.callback(response.close)
        self._lines = response.iter_lines()
        is_open = response.status_code == 200
        return to_response(response, b"" if is_open else response.read())

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stream.close()


def is_many(entity: object) -> bool:
    """Whether these are several ids; a tuple is one id of several columns."""
    return isinstance(entity, Sequence) and not isinstance(entity, str | bytes | tuple)


def train_arguments(
    model: str | None, timeout: float | None, report: Any, arguments: dict[str, Any]
) -> TrainArguments:
    """Returns the arguments of a training as they are sent."""
    body = arguments if model is None else {"model": model, **arguments}
    return TrainArguments(body, timeout, report)
