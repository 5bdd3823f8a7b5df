"""Without keys, no web page decides: requests that a page of another site can send are refused."""

import pytest
from tests.support.control import REASON, SharedServer
from tests.support.server import RawAnswer

EVIL = "Origin: https://evil.example"
TYPE = "Content-Type: application/json"


def ask(
    shared: SharedServer, method: str, path: str, *headers: str, body: bytes = b""
) -> RawAnswer:
    lines = [f"{method} {path} HTTP/1.1", f"Content-Length: {len(body)}", *headers]
    return shared.server.raw("\r\n".join(lines).encode() + b"\r\n\r\n" + body)


def routes(shared: SharedServer) -> list[tuple[str, str]]:
    paths = shared.server.client.get("/openapi.json").json()["paths"]
    return [
        (method.upper(), path.replace("{", "").replace("}", ""))
        for path, operations in paths.items()
        for method in operations.keys() - {"parameters"}
    ]


@pytest.mark.parametrize(
    "headers",
    [
        ("Host: evil.example",),
        ("Host: evil.example", EVIL, TYPE),
        ("Host: localhost", EVIL, TYPE),
        ("Host: localhost", "Origin: null", TYPE),
        ("Host: localhost", "Sec-Fetch-Site: cross-site", TYPE),
    ],
)
def test_no_route_answers_another_site(read_only: SharedServer, headers: tuple[str, ...]) -> None:
    answers = {route: ask(read_only, *route, *headers).status for route in routes(read_only)}
    assert ("POST", "/rollback") in answers
    assert {route for route, status in answers.items() if status != 403} == set()


def test_every_route_with_a_body_requires_its_type(read_only: SharedServer) -> None:
    posts = [route for route in routes(read_only) if route[0] == "POST"]
    for kind in ((), ("Content-Type: text/plain",), ("Content-Type: multipart/form-data",)):
        headers = ("Host: localhost", *kind)
        answers = [ask(read_only, *route, *headers, body=b"{}").status for route in posts]
        assert answers == [415] * len(posts)


def test_a_decision_from_the_same_site_is_taken(read_only: SharedServer) -> None:
    headers = {"Origin": read_only.server.url, "Sec-Fetch-Site": "same-origin"}
    answer = read_only.server.client.post("/rollback", json=REASON, headers=headers)
    assert answer.status_code == 409, answer.text  # there is nothing to roll back to
    assert "production" in answer.json()["detail"]
