"""Maps errors of the registry and the job queue to problems: which error is which status."""

import logging
from typing import Any

from windlass.errors import (
    BundleError,
    Fault,
    IntegrityError,
    JobError,
    RegistryError,
    StorageError,
    UnknownError,
    WindlassError,
)
from windlass.web.messages import Handler, Request
from windlass.web.problems import Problem, unavailable

_log = logging.getLogger("windlass.control")


def translate_errors(handler: Handler) -> Handler:
    """Returns the handler with our errors raised as problems."""

    async def response(request: Request) -> Any:
        try:
            return await handler(request)
        except WindlassError as error:
            raise problem_of(error, request) from error

    return response


def problem_of(error: WindlassError, request: Request) -> Problem:
    """Returns the problem of an error: 404 unknown, 409 not possible in this state, 503 nothing can be stored now."""
    if isinstance(error, UnknownError):
        return Problem(404, str(error))
    if isinstance(error, RegistryError | JobError):
        return Problem(409, str(error))
    identity = request.request_id.decode()
    if isinstance(error, StorageError):
        # the reason names hosts and folders, which are for the log
        _log.error("storage failed", extra={"request_id": identity, "reason": str(error)})
        detail = "The database or the bundle store cannot be used now. The server's log tells why."
        return unavailable(detail, retry_after=5)
    _log.error("control failed", extra={"request_id": identity, "reason": str(error)})
    if isinstance(error, IntegrityError):
        return Problem(409, "The bundle is not the one that was registered. The log tells more.")
    if isinstance(error, BundleError):
        return Problem(409, "The bundle cannot be read. The server's log tells why.")
    return Problem(409, str(error))


def unprocessable(
    errors: list[Fault], detail: str = "The request does not fit; see errors."
) -> Problem:
    """Returns 422: the request was read, and its fields are not valid."""
    return Problem(422, detail, errors)


def too_many(detail: str, *, retry_after: int) -> Problem:
    """Returns 429 with Retry-After, in seconds."""
    return Problem(429, detail, headers=[(b"retry-after", b"%d" % retry_after)])


def fault(name: str | int, message: str, *path: str | int) -> Fault:
    """Returns the fault of one field."""
    return {"loc": [part[:64] if isinstance(part, str) else part for part in (name, *path)],
            "msg": message}  # fmt: skip
