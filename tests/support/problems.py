"""Problems (RFC 9457) as servers answer them."""

from typing import Any

import httpx


def problem(answer: httpx.Response, status: int) -> dict[str, Any]:
    """Returns the problem of an answer, with its shape checked."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    body: dict[str, Any] = answer.json()
    assert body.keys() - {"errors"} == {"type", "title", "status", "detail", "instance"}
    assert body["status"] == status
    assert body["instance"] == f"urn:windlass:request:{answer.headers['x-request-id']}"
    return body
