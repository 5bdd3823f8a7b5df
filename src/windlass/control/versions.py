"""`/versions` and `/decisions`: reads versions of the registry, and decides about them."""

from typing import Any

import orjson

from windlass.control.backend import ControlBackend, ControlStores
from windlass.control.request_body import BodySchema, Json, read_json
from windlass.control.train import ANONYMOUS
from windlass.registry.decisions import Decision
from windlass.registry.version import TRANSITIONS
from windlass.web.messages import Request, Response

REASON_SCHEMA: Json = {
    "type": "string",
    "minLength": 1,
    "maxLength": 1000,
    "pattern": r"^[^\u0000]*[^\s\u0000][^\u0000]*$",
    "description": "Reason of the decision, which keeps it for good.",
}
VERSION_SCHEMA: Json = {
    "type": "string",
    "pattern": "^v[1-9][0-9]{0,8}$",
    "description": "The version to return to; without it, the one in production before.",
}
DECISION_BODY: Json = {
    "type": "object",
    "required": ["reason"],
    "properties": {"reason": REASON_SCHEMA},
    "additionalProperties": False,
}
ROLLBACK_BODY: Json = {
    **DECISION_BODY,
    "properties": {"to": VERSION_SCHEMA, "reason": REASON_SCHEMA},
}
_PATTERN_MESSAGES = {
    REASON_SCHEMA["pattern"]: "The value must contain text, and no NUL character",
    VERSION_SCHEMA["pattern"]: "The value must be the name of a version, such as v3",
}
_MAX_COMPARED = 100


class VersionRoutes:
    """Version and decision routes of one project."""

    def __init__(self, project: str, backend: ControlBackend) -> None:
        self._project = project
        self._backend = backend
        self._decision_body = BodySchema(DECISION_BODY, _PATTERN_MESSAGES)
        self._rollback_body = BodySchema(ROLLBACK_BODY, _PATTERN_MESSAGES)
        # by two digests: bundles never change, and a comparison takes a core for up to seconds
        self._comparisons: dict[tuple[str, str], bytes] = {}

    async def list(self, _: Request) -> Response:
        """Handles `GET /versions`: the newest first."""

        def read(stores: ControlStores) -> bytes:
            versions = stores.registry.versions(self._project)
            return orjson.dumps({"versions": [version.json() for version in versions]})

        return Response(await self._backend.run(read))

    async def get(self, request: Request) -> Response:
        """Handles `GET /versions/{version}`."""

        def read(stores: ControlStores) -> bytes:
            version = stores.registry.version(self._project, request.path_params["version"])
            return orjson.dumps(version.json())

        return Response(await self._backend.run(read))

    async def compare(self, request: Request) -> Response:
        """Handles `GET /versions/{version}/compare/{other}`: both on rows that neither was trained on."""
        names = [request.path_params[name] for name in ("version", "other")]

        def read(stores: ControlStores) -> bytes:
            from windlass.registry.comparison import compare

            registry = stores.registry
            versions = [registry.version(self._project, name) for name in names]
            digests = versions[0].digest, versions[1].digest
            comparison = self._comparisons.get(digests)
            if comparison is None:
                first, second = (registry.fetch(version) for version in versions)
                view = {"versions": names, **compare(first, second).json()}
                if len(self._comparisons) >= _MAX_COMPARED:
                    self._comparisons.clear()
                comparison = orjson.dumps(view, option=orjson.OPT_SERIALIZE_NUMPY)
                self._comparisons[digests] = comparison
            return comparison

        return Response(await self._backend.run_reading(read))

    async def approve(self, request: Request) -> Response:
        """Handles `POST /versions/{version}/approve`: into production."""
        body = self._decision_body.validate(await read_json(request))

        def decide(stores: ControlStores) -> Decision:
            return stores.registry.approve(self._project, request.path_params["version"],
                                           actor=_actor(request), reason=body["reason"])  # fmt: skip

        return _decision_response(await self._backend.run(decide))

    async def reject(self, request: Request) -> Response:
        """Handles `POST /versions/{version}/reject`: never into production."""
        body = self._decision_body.validate(await read_json(request))

        def decide(stores: ControlStores) -> Decision:
            return stores.registry.reject(self._project, request.path_params["version"],
                                          actor=_actor(request), reason=body["reason"])  # fmt: skip

        return _decision_response(await self._backend.run(decide))

    async def rollback(self, request: Request) -> Response:
        """Handles `POST /rollback`: an archived version into production again."""
        body: dict[str, Any] = self._rollback_body.validate(await read_json(request))

        def decide(stores: ControlStores) -> Decision:
            return stores.registry.rollback(self._project, body.get("to"),
                                            actor=_actor(request), reason=body["reason"])  # fmt: skip

        return _decision_response(await self._backend.run(decide))

    async def decisions(self, _: Request) -> Response:
        """Handles `GET /decisions`: the oldest first, and whether the hash chain is intact."""

        def read(stores: ControlStores) -> bytes:
            stores.registry.declaration(self._project)
            decisions = stores.registry.decisions(self._project)
            faults = stores.registry.verify_decisions(self._project)
            views = [decision.json() for decision in decisions]
            return orjson.dumps({"decisions": views, "verified": not faults, "faults": faults})

        return Response(await self._backend.run(read))


def _actor(request: Request) -> str:
    return request.actor or ANONYMOUS


def _decision_response(decision: Decision) -> Response:
    view = {
        "version": decision.version,
        "stage": TRANSITIONS[decision.action][1].value,
        "decision": decision.json(),
    }
    return Response(orjson.dumps(view))
