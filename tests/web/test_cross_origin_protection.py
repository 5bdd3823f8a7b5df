"""A server without keys answers its own hosts, and no page of another site."""

from typing import Any

import pytest

from windlass.web.cross_origin_protection import CrossOriginProtection
from windlass.web.messages import Request
from windlass.web.problems import Problem
from windlass.web.routing import Route

ADDRESS = ("10.0.0.5", 8000)  # to which the client connected


def admits(protection: CrossOriginProtection, *headers: tuple[str, str], method: str) -> bool:
    async def nothing(*_: Any) -> Any:
        """Neither called by the protection."""

    scope = {
        "method": method, "path": "/rollback", "query_string": b"", "server": ADDRESS,
        "headers": [(name.encode(), value.encode()) for name, value in headers],
    }  # fmt: skip
    request, route = (
        Request.from_scope(scope, nothing, "id", 1),
        Route(method, "/rollback", nothing),
    )
    try:
        protection.admit(request, route)
    except Problem as problem:
        return (problem.status, "--allow-host" in problem.detail) != (403, True)
    return True


@pytest.mark.parametrize(
    ("host", "is_own"),
    [
        ("localhost", True),
        ("LOCALHOST:8000", True),
        ("localhost.", True),
        ("iris.localhost:8000", True),
        ("127.0.0.1:8000", True),
        ("127.8.9.1", True),
        ("[::1]:8000", True),
        ("[::1]", True),
        ("models.example.com", True),
        ("Models.Example.com:443", True),
        ("10.0.0.5:8000", True),  # of the machine itself: no name leads a browser to it
        ("10.0.0.6:8000", False),
        ("evil.example", False),
        ("evil.models.example.com", False),
        ("localhost.evil.example", False),
        ("evil.example/localhost", False),
        ("localhost@evil.example", False),
        ("evil.example#@localhost", False),
        ("127.0.0.1.evil.example", False),
        ("127.1", False),
        ("[::1", False),
        ("localhost:port", False),
        ("\u2139ocalhost", False),
        (":8000", False),
        ("", False),
    ],
)
def test_hosts(host: str, is_own: bool) -> None:
    protection = CrossOriginProtection(["models.example.com"])
    for method in ("GET", "POST", "DELETE"):
        assert admits(protection, ("host", host), method=method) is is_own
    assert not admits(protection, ("host", host), ("host", "evil.example"), method="GET")
    assert admits(CrossOriginProtection(["*"]), ("host", host), method="POST")


@pytest.mark.parametrize(
    ("origin", "is_own"),
    [
        ("http://localhost:8000", True),
        ("http://127.0.0.1:5173", True),
        ("https://models.example.com", True),
        ("null", False),
        ("https://evil.example", False),
        ("https://evil.example:8000", False),
        ("https://models.example.com.evil.example", False),
        ("https://localhost@evil.example", False),
        ("http://localhost/evil", False),
        ("localhost", False),
        ("http://[", False),
    ],
)
def test_origins(origin: str, is_own: bool) -> None:
    protection = CrossOriginProtection(["models.example.com"])
    headers = ("host", "127.0.0.1:8000"), ("origin", origin)
    assert admits(protection, *headers, method="POST") is is_own


def test_with_any_host_a_page_of_the_same_origin_is_accepted() -> None:
    protection = CrossOriginProtection(["*"])
    host = ("host", "10.1.1.1:8000")
    assert admits(protection, host, ("origin", "http://10.1.1.1:8000"), method="POST")
    assert not admits(protection, host, ("origin", "http://10.1.1.1:9000"), method="POST")
    assert not admits(protection, host, ("origin", "https://evil.example"), method="POST")


@pytest.mark.parametrize("site", ["same-origin", "same-site", "none"])
def test_requests_of_the_same_site(site: str) -> None:
    headers = ("host", "localhost"), ("sec-fetch-site", site)
    assert admits(CrossOriginProtection(), *headers, method="POST")


@pytest.mark.parametrize(
    ("method", "mode", "destination", "is_admitted"),
    [
        ("GET", "navigate", "document", True),  # a person follows a link to /docs
        ("GET", "navigate", "iframe", False),
        ("GET", "no-cors", "image", False),
        ("GET", "cors", "empty", False),
        ("POST", "navigate", "document", False),  # a form that sends itself
        ("POST", "cors", "empty", False),
        ("DELETE", "cors", "empty", False),
    ],
)
def test_requests_of_another_site(
    method: str, mode: str, destination: str, is_admitted: bool
) -> None:
    headers = (
        ("host", "localhost"), ("sec-fetch-site", "cross-site"), ("sec-fetch-mode", mode),
        ("sec-fetch-dest", destination),
    )  # fmt: skip
    assert admits(CrossOriginProtection(), *headers, method=method) is is_admitted
