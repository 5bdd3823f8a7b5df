"""Which handler answers which path: exact paths first, then patterns such as `/v2/models/{model}`."""

import re
from dataclasses import dataclass

from windlass.serving.exchange import Handler
from windlass.serving.problems import Problem


@dataclass(frozen=True, slots=True)
class Route:
    """A method and a path; `label` is the bounded name that logs and metrics give it."""

    method: str
    path: str
    handler: Handler
    project: str = ""
    label: str = ""


class Router:
    """Finds the route of a request; of two with one path the later. A trailing slash is as good as none."""

    def __init__(self, routes: list[Route]) -> None:
        self._exact: dict[tuple[str, str], Route] = {}
        self._patterns: list[tuple[re.Pattern[str], Route]] = []
        self.routes = routes
        for route in routes:
            if "{" in route.path:
                pattern = re.sub(r"\{(\w+)\}", r"(?P<\1>[^/]+)", route.path)
                self._patterns.append((re.compile(pattern), route))
            else:
                self._exact[route.method, route.path] = route
        self.exact = self._exact.get

    def find(self, method: str, path: str) -> tuple[Route, dict[str, str]]:
        """The route and the path's arguments. Raises Problem 404, or 405 naming what is allowed."""
        path = path.rstrip("/") or "/"
        asked = "GET" if method == "HEAD" else method
        route = self._exact.get((asked, path))
        if route is not None:
            return route, {}
        allowed = {known for known, exact in self._exact if exact == path}
        for pattern, route in self._patterns:
            match = pattern.fullmatch(path)
            if match and route.method == asked:
                return route, match.groupdict()
            if match:
                allowed.add(route.method)
        if not allowed:
            raise Problem(
                404,
                "There is nothing here. Several projects are served under their names, /{project}/predict. See /docs.",
            )
        allow = ", ".join(sorted(allowed | ({"HEAD"} if "GET" in allowed else set())))
        raise Problem(
            405, f"This route answers {allow} only.", headers=[(b"allow", allow.encode())]
        )
