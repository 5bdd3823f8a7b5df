"""RFC 9457 problems: error responses, which never echo the input."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

import orjson

from windlass.errors import Fault

CONTENT_TYPE = b"application/problem+json"


@dataclass(eq=False)  # and not frozen: contextlib sets the traceback of what passes through it
class Problem(Exception):  # noqa: N818 - RFC 9457's word
    """An error response. `detail` says what to do; `errors` name each field at fault.

    `facts` are extension members, such as the id of a job that failed.
    """

    status: int
    detail: str
    errors: Sequence[Fault] = ()
    headers: Sequence[tuple[bytes, bytes]] = field(default=())
    facts: Mapping[str, Any] = field(default_factory=dict)

    def body(self, instance: str) -> bytes:
        """Returns the problem document; `instance` is the id of the request."""
        document: dict[str, Any] = {
            "type": "about:blank",
            "title": HTTPStatus(self.status).phrase,
            "status": self.status,
            "detail": self.detail,
            "instance": f"urn:windlass:request:{instance}",
        }
        if self.errors:
            document["errors"] = self.errors
        document.update(self.facts)
        return orjson.dumps(document)


def malformed(detail: str) -> Problem:
    """Returns 400: the body cannot be parsed."""
    return Problem(400, detail)


def invalid(errors: Sequence[Fault]) -> Problem:
    """Returns 422: the body does not match the declared row."""
    return Problem(422, "The input does not fit the declared row; see errors.", errors)


def rejected(errors: Sequence[Fault]) -> Problem:
    """Returns 422: the model has no prediction for rows that match the declared row."""
    return Problem(422, "The model does not predict these rows; see errors.", errors)


def too_large(limit: int, *, is_setting: bool = True) -> Problem:
    """Returns 413: the body is over the limit, in bytes; `is_setting` where that is the server's, not the route's."""
    advice = (
        "Send less at a time, or raise WINDLASS_MAX_BODY_MB."
        if is_setting
        else "It is the limit of this route."
    )
    detail = f"The body is larger than {limit} bytes. {advice}"
    return Problem(413, detail, headers=[(b"connection", b"close")])


def unsupported(accepted: Sequence[str]) -> Problem:
    """Returns 415: this route does not read the content type."""
    return Problem(415, f"Send one of: {', '.join(accepted)}.")


def unavailable(reason: str, *, retry_after: int = 1) -> Problem:
    """Returns 503 with Retry-After, in seconds."""
    return Problem(503, reason, headers=[(b"retry-after", str(retry_after).encode())])


def busy(reason: str) -> Problem:
    """Returns 503 with Retry-After, and closes the connection: the rest of the request is not read."""
    headers = [*unavailable(reason, retry_after=5).headers, (b"connection", b"close")]
    return Problem(503, reason, headers=headers)


def timed_out() -> Problem:
    """Returns 408: the body does not come, or comes too slowly."""
    detail = "The body did not come in time. Send it faster, or less at a time."
    return Problem(408, detail, headers=[(b"connection", b"close")])
