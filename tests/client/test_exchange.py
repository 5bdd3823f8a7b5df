"""Retries of the client, without a connection: what is sent again, when, and which errors come of it."""

from typing import Any

import pytest

from windlass.client.exchange import (
    NotSentError,
    Request,
    Response,
    RetryPolicy,
    Send,
    Sleep,
    exchange,
    response_error,
)
from windlass.errors import (
    ClientError,
    NotFoundError,
    RateLimitError,
    ResponseError,
    ServerError,
    ServerUnreachableError,
    UnavailableError,
)

READ = Request("GET", "/versions")
DECIDE = Request("POST", "/rollback", repeatable=False)
OK = Response(200, {}, b"{}")
POLICY = RetryPolicy()


def busy(status: int, retry_after: str | None = "2") -> Response:
    headers = {} if retry_after is None else {"retry-after": retry_after}
    return Response(status, headers, b'{"title": "Busy", "detail": "Come again."}')


def waits(request: Request, outcomes: list[Any], policy: RetryPolicy = POLICY) -> list[float]:
    """The waits of an exchange that meets these outcomes, responses or errors, one after the other."""
    operation = exchange(request, policy)
    seconds: list[float] = []
    left = iter(outcomes)
    effect, response = next(operation), None
    while response is None:
        outcome: Any = None
        if isinstance(effect, Sleep):
            seconds.append(effect.seconds)
        else:
            assert isinstance(effect, Send)
            outcome = next(left)
        try:
            is_error = isinstance(outcome, Exception)
            effect = operation.throw(outcome) if is_error else operation.send(outcome)
        except StopIteration as end:
            response = end.value
    assert response is OK
    assert next(left, None) is None
    return seconds


def test_what_is_refused_for_now_is_sent_again_as_late_as_the_server_says() -> None:
    assert waits(READ, [busy(429), busy(503, "0"), OK]) == [2.0, 0.0]
    assert waits(DECIDE, [busy(429, "7"), OK]) == [7.0]  # it was not handled
    assert waits(READ, [busy(503, None), busy(503, None), OK]) == [0.5, 1.0]


def test_a_decision_is_not_sent_twice() -> None:
    with pytest.raises(UnavailableError):
        waits(DECIDE, [busy(503), OK])  # it may have been made
    with pytest.raises(ServerUnreachableError):
        waits(DECIDE, [ServerUnreachableError("lost"), OK])
    assert waits(DECIDE, [NotSentError("refused"), OK]) == [0.5]
    assert waits(READ, [ServerUnreachableError("lost"), OK]) == [0.5]


def test_retries_are_bounded() -> None:
    with pytest.raises(RateLimitError) as caught:
        waits(READ, [busy(429, "31")])  # longer than anybody waits
    assert caught.value.retry_after == 31
    with pytest.raises(UnavailableError):
        waits(READ, [busy(503, "1")] * 4)
    assert waits(READ, [busy(503, "1")] * 3 + [OK]) == [1.0] * 3
    with pytest.raises(RateLimitError):
        waits(READ, [busy(429, "1")], RetryPolicy(retries=0))


@pytest.mark.parametrize(
    ("header", "least", "most"),
    [
        ("3", 3, 3),
        ("Wed, 21 Oct 2015 07:28:00 GMT", 0, 0),
        ("soon", None, None),
        ("-1", None, None),
    ],
)
def test_retry_after_is_seconds_or_a_date(header: str, least: float, most: float) -> None:
    seconds = response_error(busy(429, header)).retry_after
    assert seconds is None if least is None else seconds is not None and least <= seconds <= most


def test_errors_carry_the_problem() -> None:
    faults = b'[{"loc":[2,"age"],"msg":"Too old"},5]'
    body = b'{"title":"Not Found","status":404,"detail":"No v9.","job_id":"7","errors":%b}' % faults
    error = response_error(Response(404, {"x-request-id": "abc"}, body))
    assert isinstance(error, NotFoundError)
    assert (error.status, error.title, error.detail) == (404, "Not Found", "No v9.")
    assert error.errors == ({"loc": [2, "age"], "msg": "Too old"},)
    assert (error.problem.request_id, dict(error.problem.extensions)) == ("abc", {"job_id": "7"})
    assert str(error) == "404 Not Found: No v9. 2.age: Too old"


@pytest.mark.parametrize(
    "body", [b"", b"<html>Bad Gateway</html>", b"[1]", b"\xff", b'{"errors": null}']
)
def test_answers_of_a_proxy_are_errors_too(body: bytes) -> None:
    error = response_error(Response(502, {}, body))
    assert isinstance(error, ServerError)
    assert isinstance(response_error(Response(418, {}, body)), ResponseError)
    with pytest.raises(ClientError, match="not JSON"):
        Response(200, {}, b"<html>").json()
