"""The feature routes of one project: what is known of an entity now, and of many."""

import re
from collections.abc import Sequence
from datetime import UTC, datetime
from time import perf_counter
from typing import TYPE_CHECKING, Any

import orjson
from pydantic_core import SchemaValidator, ValidationError, core_schema

from windlass.core.feature_view import ViewRecord
from windlass.core.row_validator import rows_error
from windlass.errors import Fault
from windlass.serving.online_features import OnlineFeatures
from windlass.serving.predict import refused, require_json
from windlass.web.messages import Request, Response
from windlass.web.problems import Problem

if TYPE_CHECKING:
    from windlass.features.online.reader import Features

LEAST, MOST = -(2**63), 2**63 - 1
MAX_IDS = 10_000  # in one request

_INTEGER = re.compile(r"-?[0-9]{1,19}").fullmatch
_ID = core_schema.int_schema(strict=True, ge=LEAST, le=MOST)
IDS = core_schema.list_schema(_ID, min_length=1, max_length=MAX_IDS, strict=True, fail_fast=True)
_LIST = SchemaValidator(IDS)
_OBJECT = SchemaValidator(
    core_schema.typed_dict_schema(
        {"ids": core_schema.typed_dict_field(IDS)}, extra_behavior="forbid"
    )
)


def path_id(exchange: Request) -> int:
    """The id that the path names. Raises Problem 422."""
    text = exchange.path_params["id"]
    if _INTEGER(text):
        found = int(text)
        if LEAST <= found <= MOST:
            return found
    raise _unfit([{"loc": ["id"], "msg": "Input should be an integer of 64 bits"}])


def body_ids(body: bytes) -> list[int]:
    """The ids in a body: `{"ids": […]}`, or the list alone. Raises Problem 400 or 422."""
    try:
        if body.lstrip()[:1] == b"[":
            bare: list[int] = _LIST.validate_json(body)
            return bare
        named: dict[str, list[int]] = _OBJECT.validate_json(body)
        return named["ids"]
    except ValidationError as error:
        found = rows_error(error)
    raise refused(found) if found.malformed else _unfit(found.faults)


def _unfit(faults: Sequence[Fault]) -> Problem:
    return Problem(422, "An id is an integer of 64 bits; see errors.", faults)


UNKNOWN = "unknown"
TIMES = orjson.OPT_UTC_Z | orjson.OPT_OMIT_MICROSECONDS


class FeatureRoutes:
    """`/features`."""

    def __init__(self, online: OnlineFeatures) -> None:
        self._online = online

    async def one(self, exchange: Request) -> Response:
        """`GET /features/{id}`: the features of one entity."""
        entity = path_id(exchange)
        exchange.parsed = perf_counter()
        features = await self._online.get(entity)
        exchange.fetched = perf_counter()
        return Response(orjson.dumps(_known(self._online.declared, features), option=TIMES))

    async def many(self, exchange: Request) -> Response:
        """`POST /features`: of each of these entities, in order; one that is unknown fails no other."""
        require_json(exchange)
        entities = body_ids(await exchange.body())
        exchange.parsed = perf_counter()
        found = await self._online.get_many(entities)
        exchange.fetched = perf_counter()
        view = self._online.declared
        results = [
            unknown(view, entity, "features") if features is None else _known(view, features)
            for entity, features in zip(entities, found, strict=True)
        ]
        return Response(orjson.dumps({"results": results}, option=TIMES))


def _known(view: ViewRecord, features: "Features") -> dict[str, Any]:
    return {
        view.entity: features.entity,
        "features": features.values,
        "as_of": features.as_of,
        "computed_at": datetime.fromtimestamp(int(features.computed_at), UTC),
        "stale": features.stale,
        "view": view.name,
        "view_version": features.view,
    }


def unknown(view: ViewRecord, entity: int, what: str) -> dict[str, Any]:
    """What one of several answers says of an entity of which nothing is known; `what` is what there is none of."""
    return {view.entity: entity, what: None, "error": UNKNOWN}
