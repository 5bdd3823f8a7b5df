"""What goes wrong with a request: RFC 9457 problems, which never echo what was sent."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

import orjson

from windlass.errors import Fault

CONTENT_TYPE = b"application/problem+json"


@dataclass(eq=False)  # and not frozen: contextlib sets the traceback of what passes through it
class Problem(Exception):  # noqa: N818 - RFC 9457's word
    """An answer that is an error. `detail` says what to do; `errors` name each field at fault.

    `facts` are members of its own, such as the id of a job that failed.
    """

    status: int
    detail: str
    errors: Sequence[Fault] = ()
    headers: Sequence[tuple[bytes, bytes]] = field(default=())
    facts: Mapping[str, Any] = field(default_factory=dict)

    def body(self, instance: str) -> bytes:
        """The problem document; `instance` is the id of the request."""
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
    """400: the body cannot be read at all."""
    return Problem(400, detail)


def invalid(errors: Sequence[Fault]) -> Problem:
    """422: the body was read, and does not fit the row."""
    return Problem(422, "The input does not fit the declared row; see errors.", errors)


def too_large(limit: int) -> Problem:
    """413: the body is over the limit."""
    detail = f"The body is larger than {limit} bytes. Send less at a time, or raise WINDLASS_MAX_BODY_MB."
    return Problem(413, detail, headers=[(b"connection", b"close")])


def unsupported(accepted: Sequence[str]) -> Problem:
    """415: a content type that this route does not read."""
    return Problem(415, f"Send one of: {', '.join(accepted)}.")


def unavailable(reason: str, *, retry_after: int = 1) -> Problem:
    """503: not now; the client may try again."""
    return Problem(503, reason, headers=[(b"retry-after", str(retry_after).encode())])
