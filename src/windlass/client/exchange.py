"""Requests, responses and retries of the client, without a connection: what both clients share.

An operation is a generator: it yields effects (send this, wait so long, read a line of a stream), is sent their
results, and returns the answer. `Client` performs the effects by blocking, `AsyncClient` by awaiting.
"""

import json
from collections.abc import Generator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, TypeVar

from windlass.errors import (
    AuthenticationError,
    ClientError,
    ConflictError,
    Fault,
    NotFoundError,
    PayloadTooLargeError,
    PermissionDeniedError,
    ProblemDetails,
    RateLimitError,
    ResponseError,
    ServerError,
    ServerUnreachableError,
    UnavailableError,
    UnprocessableError,
)

T = TypeVar("T")

_ERRORS: dict[int, type[ResponseError]] = {
    401: AuthenticationError,
    403: PermissionDeniedError,
    404: NotFoundError,
    409: ConflictError,
    413: PayloadTooLargeError,
    422: UnprocessableError,
    429: RateLimitError,
    503: UnavailableError,
}
_FIRST_WAIT = 0.5  # seconds, doubled with each retry where the server names no time


@dataclass(frozen=True)
class Request:
    """Request to the server; `path` begins behind the server's URL.

    `repeatable` says whether sending it twice does no more than sending it once, so that it may be sent again after an
    answer was lost.
    """

    method: str
    path: str
    params: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    content: bytes = b""
    repeatable: bool = True


@dataclass(frozen=True)
class Response:
    """Response of the server; the names of `headers` are in lower case."""

    status: int
    headers: Mapping[str, str]
    content: bytes

    def json(self) -> Any:
        """Returns the parsed body. Raises ClientError where it is not JSON."""
        try:
            return json.loads(self.content)
        except ValueError as error:
            raise ClientError(
                "The answer is not JSON. Check that the URL is that of a Windlass server."
            ) from error


class NotSentError(ServerUnreachableError):
    """A request did not reach the server: it may be sent again, whatever it asks for."""


@dataclass(frozen=True)
class Send:
    """Effect that sends the request; its result is the response, or ServerUnreachableError."""

    request: Request


@dataclass(frozen=True)
class Sleep:
    """Effect that waits so many seconds."""

    seconds: float


@dataclass(frozen=True)
class OpenStream:
    """Effect that sends the request and keeps its stream open; the result is the response, without content if 200."""

    request: Request


@dataclass(frozen=True)
class ReadLine:
    """Effect that reads a line of the open stream; the result is the line, None at the end."""


Effect = Send | Sleep | OpenStream | ReadLine
Operation = Generator[Effect, Any, T]


@dataclass(frozen=True)
class RetryPolicy:
    """How often a request is sent again, and how long a single wait may be, in seconds."""

    retries: int = 3
    max_wait: float = 30.0

    def wait(self, attempt: int, retry_after: float | None) -> float | None:
        """Returns the seconds before the next attempt, the server's or a doubling time; None where it is too late."""
        seconds = _FIRST_WAIT * 2**attempt if retry_after is None else retry_after
        return seconds if attempt < self.retries and seconds <= self.max_wait else None


def exchange(request: Request, policy: RetryPolicy) -> Operation[Response]:
    """Sends a request, again where that is safe, and returns a response without an error.

    429 is tried again after `Retry-After`, and so is 503 where the request is repeatable. Raises ResponseError,
    ServerUnreachableError.
    """
    attempt = 0
    while True:
        try:
            response: Response = yield Send(request)
        except ServerUnreachableError as error:
            again = request.repeatable or isinstance(error, NotSentError)
            wait = policy.wait(attempt, None) if again else None
            if wait is None:
                raise
        else:
            if response.status < 400:
                return response
            failure = response_error(response)
            again = response.status == 429 or (response.status == 503 and request.repeatable)
            wait = policy.wait(attempt, failure.retry_after) if again else None
            if wait is None:
                raise failure
        attempt += 1
        yield Sleep(wait)


def response_error(response: Response) -> ResponseError:
    """Returns the error of a response with a status of 400 or more, with its problem."""
    document: Any = None
    with suppress(ValueError):  # a proxy's page, or nothing
        document = json.loads(response.content)
    if not isinstance(document, dict):
        document = {"detail": "The answer has no details. It may be that of a proxy."}
    errors = document.pop("errors", None)
    problem = ProblemDetails(
        status=response.status,
        title=str(document.pop("title", "")),
        detail=str(document.pop("detail", document.pop("error", ""))),
        errors=_faults(errors),
        request_id=response.headers.get("x-request-id"),
        retry_after=_seconds(response.headers.get("retry-after")),
        extensions={
            name: value
            for name, value in document.items()
            if name not in ("type", "status", "instance")
        },
    )
    default = ServerError if response.status >= 500 else ResponseError
    return _ERRORS.get(response.status, default)(problem)


def _faults(errors: Any) -> tuple[Fault, ...]:
    listed = errors if isinstance(errors, list) else []
    return tuple(
        {"loc": each["loc"], "msg": str(each.get("msg", ""))}
        for each in listed
        if isinstance(each, dict) and isinstance(each.get("loc"), list)
    )


def _seconds(retry_after: str | None) -> float | None:
    """Returns the seconds that a Retry-After header names, as a number or as a date; None without a usable one."""
    if retry_after is None:
        return None
    if retry_after.strip().isdecimal():
        return float(retry_after)
    try:
        time = parsedate_to_datetime(retry_after)
    except ValueError:
        return None
    return max((time - datetime.now(UTC)).total_seconds(), 0.0)
