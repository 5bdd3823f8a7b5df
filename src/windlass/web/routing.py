"""Routes requests to handlers: exact paths first, then patterns such as `/v2/models/{model}`."""

import re
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Protocol
from urllib.parse import parse_qsl, unquote

from windlass.auth.key import Role
from windlass.errors import Fault
from windlass.web.messages import Handler, Request, Response
from windlass.web.problems import Problem

NOT_FOUND = 404
_ENCODED_SLASH = "\ud800"  # no text that is decoded from UTF-8 has it
_NOTHING = "There is nothing here. See /docs for the routes of this server."
_SEVERAL = " Several projects are served, each under its name: /{project}/predict."


class BatchHandler(Protocol):
    """Answers requests whose bodies are whole, several at a time, and without waiting."""

    def is_ready(self) -> bool:
        """Returns whether it can answer now; where not, the route's handler is called."""

    def answer(self, requests: Sequence[Request]) -> list[Response | Exception]:
        """Returns for each request its response, or the error that it is answered with."""


@dataclass(frozen=True, slots=True, eq=False)
class Route:
    """A method and a path; `label` is the bounded name that logs and metrics give it.

    `batch` answers what `handler` would, for all requests that arrive in one turn of the event loop.

    `role` is the lowest that a caller's key must have where WINDLASS_AUTH is on; None needs no key.
    `there` says whether a route that is not always available is so now.
    `query` names the query parameters that it reads. A parameter `{id}` of the path stays percent-encoded, for an id
    may have a slash; other parameters are decoded.
    """

    method: str
    path: str
    handler: Handler
    project: str = ""
    label: str = ""
    role: Role | None = None
    there: Callable[[], bool] | None = None
    batch: BatchHandler | None = None
    query: tuple[str, ...] = ()

    def check_query(self, query_string: bytes) -> None:
        """Raises Problem 422 for a query parameter that the route does not read, and for one that comes twice.

        Either would have the answer of another version or event than the caller means. Routes without a role
        ignore queries: probes and readers add some of their own.
        """
        if self.role is None:
            return
        query = parse_qsl(query_string.decode("latin-1"), keep_blank_values=True)
        names = [name for name, _ in query]
        errors: list[Fault] = [
            {"loc": [name], "msg": "Give this query parameter once"}
            for name in self.query
            if names.count(name) > 1
        ]
        if not set(names) <= set(self.query):
            read = ", ".join(self.query) or "none"
            errors.append(
                {"loc": [], "msg": f"This route reads the query parameters: {read}. Omit others"}
            )
        if errors:
            raise Problem(422, "The query does not fit this route; see errors.", errors)

    def is_there(self) -> bool:
        """Returns whether it is available now."""
        return self.there is None or self.there()


class Router:
    """Finds the route of a request; of two with the same path, the later one.

    Ignores a trailing slash.
    """

    def __init__(self, routes: list[Route]) -> None:
        self._exact: dict[tuple[str, str], Route] = {}
        # by their method and number of slashes, for a path parameter holds none
        self._patterns: dict[tuple[str, int], list[tuple[re.Pattern[str], Route]]] = {}
        self.routes = routes
        for route in routes:
            if "{" in route.path or route.there is not None:
                pattern = re.sub(r"\{(\w+)\}", r"(?P<\1>[^/]+)", route.path)
                alike = self._patterns.setdefault((route.method, route.path.count("/")), [])
                alike.append((re.compile(pattern), route))
            else:
                self._exact[route.method, route.path] = route
        self.exact = self._exact.get
        # of the patterns whose requests are answered in batches
        self._batch_slashes = {
            route.path.count("/") for route in routes if route.batch and "{" in route.path
        }
        several = len({route.project for route in routes if route.project}) > 1
        self._nothing = _NOTHING + (_SEVERAL if several else "")

    def find(self, method: str, path: str, encoded_path: str = "") -> tuple[Route, dict[str, str]]:
        """Returns the route and the path parameters. Raises Problem 404, or 405 naming the allowed methods.

        `encoded_path` is the path before decoding, where it has percent signs.
        """
        if encoded_path:
            return self._find_encoded(method, path, encoded_path)
        path = path.rstrip("/") or "/"
        method = "GET" if method == "HEAD" else method
        route = self._exact.get((method, path))
        if route is not None:
            return route, {}
        for pattern, route in self._patterns.get((method, path.count("/")), ()):
            match = pattern.fullmatch(path)
            if match and route.is_there():
                return route, match.groupdict()
        raise self._refusal(path)

    def _find_encoded(
        self, method: str, path: str, encoded_path: str
    ) -> tuple[Route, dict[str, str]]:
        """Finds the route of a path with encoded characters: a slash that is encoded separates nothing."""
        segments = encoded_path.rstrip("/").split("/")
        masked = "/".join(unquote(segment).replace("/", _ENCODED_SLASH) for segment in segments)
        try:
            route, params = self.find(method, masked)
        except Problem as problem:
            if problem.status == NOT_FOUND and masked.count("/") != path.count("/"):
                return self.find(method, path)
            raise
        if "id" in params:
            params["id"] = segments[route.path.split("/").index("{id}")]
        return route, {name: value.replace(_ENCODED_SLASH, "/") for name, value in params.items()}

    def find_batch(
        self, method: str, path: str, encoded_path: str = ""
    ) -> tuple[Route, dict[str, str]] | None:
        """Returns the route and the path parameters where requests are answered in batches."""
        route = self._exact.get((method, path))
        params: dict[str, str] = {}
        slashes = (encoded_path or path).count("/")
        if route is None and slashes in self._batch_slashes:
            with suppress(Problem):
                route, params = self.find(method, path, encoded_path)
        batch = None if route is None else route.batch
        return None if route is None or batch is None or not batch.is_ready() else (route, params)

    def _refusal(self, path: str) -> Problem:
        """Returns the problem where no route has this path, or none this method."""
        allowed = {method for method, exact in self._exact if exact == path}
        for (method, slashes), patterns in self._patterns.items():
            if slashes == path.count("/") and any(
                pattern.fullmatch(path) and route.is_there() for pattern, route in patterns
            ):
                allowed.add(method)
        if not allowed:
            return Problem(404, self._nothing)
        allow = ", ".join(sorted(allowed | ({"HEAD"} if "GET" in allowed else set())))
        return Problem(
            405, f"This route answers {allow} only.", headers=[(b"allow", allow.encode())]
        )
