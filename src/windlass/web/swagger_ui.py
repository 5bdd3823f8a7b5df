"""Routes of the API documentation: `/openapi.json`, and `/docs` with the Swagger UI files of this package."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

import orjson

from windlass.web.messages import Request, Response
from windlass.web.openapi import OpenApiDocument, describe
from windlass.web.problems import Problem
from windlass.web.routing import Route

_FOLDER = Path(__file__).parent / "static" / "swagger_ui"
_ASSETS = {
    "swagger-ui-bundle.js": b"text/javascript",
    "swagger-ui.css": b"text/css",
    "favicon.png": b"image/png",
}
_PAGE = b"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Windlass API</title>
<link rel="stylesheet" href="../docs/swagger-ui.css">
</head>
<body>
<div id="api"></div>
<script src="../docs/swagger-ui-bundle.js"></script>
<script src="../docs/start.js"></script>
</body>
</html>
"""
_START = b"""SwaggerUIBundle({url: new URL("../openapi.json", document.baseURI).href, dom_id: "#api",
  deepLinking: true, tryItOutEnabled: true, validatorUrl: null});
"""
_RULES = (
    b"default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:;"
    b" connect-src 'self'; base-uri 'none'; frame-ancestors 'none'"
)
_POLICY = (b"content-security-policy", _RULES)


class DocsRoutes:
    """Routes of the API documentation: the OpenAPI document and Swagger UI.

    `state` is awaited before each answer; where it returns something else than before, the document is made again.
    """

    def __init__(
        self,
        document: Callable[[], OpenApiDocument],
        routes: Sequence[Route],
        state: Callable[[], Awaitable[object]],
    ) -> None:
        self._document = document
        self._described = list(routes)
        self._state = state
        self._described_state: object = None
        self._body: bytes | None = None

    def routes(self) -> list[Route]:
        """Returns the routes of the documentation itself."""
        return [
            Route("GET", "/openapi.json", self.openapi),
            Route("GET", "/docs", self.page),
            Route("GET", "/docs/{asset}", self.asset),
        ]

    async def openapi(self, _: Request) -> Response:
        """Returns the description of every route, made once for each state of the server."""
        state = await self._state()
        body = self._body
        if body is None or state != self._described_state:
            # on a thread: the first document takes a tenth of a second, with the models that it is generated from
            body = await asyncio.to_thread(self._describe)
            if state == await self._state():  # else it may be of two states
                self._body, self._described_state = body, state
        return Response(body)

    def _describe(self) -> bytes:
        routes = [route for route in self._described if route.is_there()]
        return orjson.dumps(describe(self._document(), routes))

    async def page(self, _: Request) -> Response:
        """Returns the page of Swagger UI."""
        return Response(_PAGE, b"text/html; charset=utf-8", headers=[_POLICY])

    async def asset(self, request: Request) -> Response:
        """Returns a file of Swagger UI."""
        name = request.path_params["asset"]
        if name == "start.js":
            return Response(_START, b"text/javascript")
        if name not in _ASSETS:
            raise Problem(404, "There is no such file here.")
        cache = [(b"cache-control", b"public, max-age=86400")]
        return Response((_FOLDER / name).read_bytes(), _ASSETS[name], headers=cache)
