"""`/versions` and decisions about them: what the registry knows of a project, and who moves it."""

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
    "description": "Why. It is kept with the decision for good.",
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
_MAX_COMPARED = 100


class VersionRoutes:
    """The routes of one project."""

    def __init__(self, project: str, backend: ControlBackend) -> None:
        self._project = project
        self._backend = backend
        self._deciding, self._returning = BodySchema(DECISION_BODY), BodySchema(ROLLBACK_BODY)
        # by two digests: bundles never change, and comparing them takes a core for up to seconds
        self._compared: dict[tuple[str, str], bytes] = {}

    async def list(self, _: Request) -> Response:
        """`GET /versions`: the newest first."""

        def read(stores: ControlStores) -> bytes:
            found = stores.registry.versions(self._project)
            return orjson.dumps({"versions": [version.json() for version in found]})

        return Response(await self._backend.run(read))

    async def get(self, request: Request) -> Response:
        """`GET /versions/{version}`."""

        def read(stores: ControlStores) -> bytes:
            found = stores.registry.version(self._project, request.path_params["version"])
            return orjson.dumps(found.json())

        return Response(await self._backend.run(read))

    async def compare(self, request: Request) -> Response:
        """`GET /versions/{version}/compare/{other}`: both on rows that neither was trained on."""
        names = [request.path_params[name] for name in ("version", "other")]

        def read(stores: ControlStores) -> bytes:
            from windlass.registry.comparison import compare

            registry = stores.registry
            found = [registry.version(self._project, name) for name in names]
            pair = found[0].digest, found[1].digest
            known = self._compared.get(pair)
            if known is None:
                first, second = (registry.fetch(version) for version in found)
                told = {"versions": names, **compare(first, second).json()}
                if len(self._compared) >= _MAX_COMPARED:
                    self._compared.clear()
                known = orjson.dumps(told, option=orjson.OPT_SERIALIZE_NUMPY)
                self._compared[pair] = known
            return known

        return Response(await self._backend.run_reading(read))

    async def approve(self, request: Request) -> Response:
        """`POST /versions/{version}/approve`: into production."""
        given = self._deciding.validate(await read_json(request))

        def decide(stores: ControlStores) -> Decision:
            return stores.registry.approve(self._project, request.path_params["version"],
                                           actor=_actor(request), reason=given["reason"])  # fmt: skip

        return _decision_response(await self._backend.run(decide))

    async def reject(self, request: Request) -> Response:
        """`POST /versions/{version}/reject`: never into production."""
        given = self._deciding.validate(await read_json(request))

        def decide(stores: ControlStores) -> Decision:
            return stores.registry.reject(self._project, request.path_params["version"],
                                          actor=_actor(request), reason=given["reason"])  # fmt: skip

        return _decision_response(await self._backend.run(decide))

    async def rollback(self, request: Request) -> Response:
        """`POST /rollback`: an archived version into production again."""
        given: dict[str, Any] = self._returning.validate(await read_json(request))

        def decide(stores: ControlStores) -> Decision:
            return stores.registry.rollback(self._project, given.get("to"),
                                            actor=_actor(request), reason=given["reason"])  # fmt: skip

        return _decision_response(await self._backend.run(decide))

    async def decisions(self, _: Request) -> Response:
        """`GET /decisions`: the oldest first, and whether the chain is whole."""

        def read(stores: ControlStores) -> bytes:
            stores.registry.declaration(self._project)
            found = stores.registry.decisions(self._project)
            faults = stores.registry.verify_decisions(self._project)
            shown = [decision.json() for decision in found]
            return orjson.dumps({"decisions": shown, "verified": not faults, "faults": faults})

        return Response(await self._backend.run(read))


def _actor(request: Request) -> str:
    return request.actor or ANONYMOUS


def _decision_response(decision: Decision) -> Response:
    told = {
        "version": decision.version,
        "stage": TRANSITIONS[decision.action][1].value,
        "decision": decision.json(),
    }
    return Response(orjson.dumps(told))
