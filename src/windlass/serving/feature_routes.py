"""Feature routes of one project: the stored features of one entity, and of many."""

import re
from collections.abc import Sequence
from datetime import UTC, datetime
from time import perf_counter
from typing import TYPE_CHECKING, Any

import orjson
from pydantic_core import SchemaValidator, ValidationError, core_schema

from windlass.core.feature_view import SERVED_EVENTS, ServedEvent, ViewRecord
from windlass.core.row_validator import rows_error
from windlass.errors import Fault
from windlass.serving.online_features import OnlineFeatures
from windlass.serving.predict import require_json, rows_problem
from windlass.web.messages import Request, Response
from windlass.web.problems import Problem

if TYPE_CHECKING:
    from windlass.features.online.reader import Features

MIN_ID, MAX_ID = -(2**63), 2**63 - 1
MAX_IDS = 10_000  # in one request

_INTEGER = re.compile(r"-?[0-9]{1,19}").fullmatch
_ID = core_schema.int_schema(strict=True, ge=MIN_ID, le=MAX_ID)
IDS = core_schema.list_schema(_ID, min_length=1, max_length=MAX_IDS, strict=True, fail_fast=True)
_LIST = SchemaValidator(IDS)
_OBJECT = SchemaValidator(
    core_schema.typed_dict_schema(
        {"ids": core_schema.typed_dict_field(IDS)}, extra_behavior="forbid"
    )
)


def path_id(request: Request) -> int:
    """Returns the id in the path. Raises Problem 422."""
    text = request.path_params["id"]
    if _INTEGER(text):
        entity = int(text)
        if MIN_ID <= entity <= MAX_ID:
            return entity
    raise _invalid_id([{"loc": ["id"], "msg": "Input should be an integer of 64 bits"}])


def served_event(request: Request) -> ServedEvent | None:
    """Returns what `?at=` asks for; None where it is not given. Raises Problem 422."""
    if not request.head.query_string:
        return None
    text = request.query().get("at")
    for event in SERVED_EVENTS:
        if text == event:
            return event
    if text is None:
        return None
    fault: Fault = {"loc": ["at"], "msg": "Input should be 'latest' or 'next'"}
    raise Problem(
        422, "Features are those at the latest event or at the next; see errors.", [fault]
    )


def body_ids(body: bytes) -> list[int]:
    """Returns the ids of a body: `{"ids": […]}`, or the list alone. Raises Problem 400 or 422."""
    try:
        if body.lstrip()[:1] == b"[":
            bare: list[int] = _LIST.validate_json(body)
            return bare
        content: dict[str, list[int]] = _OBJECT.validate_json(body)
        return content["ids"]
    except ValidationError as error:
        invalid_rows = rows_error(error)
    raise rows_problem(invalid_rows) if invalid_rows.malformed else _invalid_id(invalid_rows.faults)


def _invalid_id(faults: Sequence[Fault]) -> Problem:
    return Problem(422, "An id is an integer of 64 bits; see errors.", faults)


UNKNOWN = "unknown"
TIME_OPTIONS = orjson.OPT_UTC_Z | orjson.OPT_OMIT_MICROSECONDS


class FeatureRoutes:
    """Routes below `/features`."""

    def __init__(self, online: OnlineFeatures) -> None:
        self._online = online

    async def get(self, request: Request) -> Response:
        """Answers `GET /features/{id}`: the features of one entity."""
        entity, at = path_id(request), served_event(request)
        request.parsed = perf_counter()
        features = await self._online.get(entity, at)
        request.fetched = perf_counter()
        return Response(
            orjson.dumps(_result(self._online.required_view(), features), option=TIME_OPTIONS)
        )

    async def get_many(self, request: Request) -> Response:
        """Answers `POST /features`: one result for each entity, in order; an unknown one does not fail the others."""
        require_json(request)
        at = served_event(request)
        entities = body_ids(await request.body())
        request.parsed = perf_counter()
        stored = await self._online.get_many(entities, at)
        request.fetched = perf_counter()
        view = self._online.required_view()
        results = [
            missing_result(view, entity, "features")
            if features is None
            else _result(view, features)
            for entity, features in zip(entities, stored, strict=True)
        ]
        return Response(orjson.dumps({"results": results}, option=TIME_OPTIONS))


def _result(view: ViewRecord, features: "Features") -> dict[str, Any]:
    return {
        view.entity: features.entity,
        "features": features.values,
        "as_of": features.as_of,
        "computed_at": datetime.fromtimestamp(int(features.computed_at), UTC),
        "stale": features.stale,
        "view": view.name,
        "view_version": features.view,
    }


def missing_result(view: ViewRecord, entity: int, field: str) -> dict[str, Any]:
    """Returns the result of an entity that the store does not have; `field` is null in it."""
    return {view.entity: entity, field: None, "error": UNKNOWN}
