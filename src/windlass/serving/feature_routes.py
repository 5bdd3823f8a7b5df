"""Feature routes of one project: the stored features of one entity, and of many."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from functools import partial
from itertools import islice
from time import perf_counter
from typing import TYPE_CHECKING, Any, TypeVar

import orjson
from pydantic_core import PydanticCustomError, SchemaValidator, ValidationError, core_schema

from windlass.core.entity_ids import MAX_INTEGER, MIN_INTEGER, EntityId, EntityIds, IdType
from windlass.core.feature_view import SERVED_EVENTS, ServedEvent, ViewRecord
from windlass.core.row_validator import rows_error
from windlass.errors import Fault, IdError
from windlass.serving.json_reader import JsonReader
from windlass.serving.online_features import INLINE_IDS, OnlineFeatures
from windlass.serving.predict import require_json
from windlass.web.messages import Request, Response
from windlass.web.problems import Problem

if TYPE_CHECKING:
    from windlass.features.online.reader import Features

T = TypeVar("T")

MAX_IDS = 10_000  # in one request
MAX_IDS_BODY = 512 << 10  # bytes of such a request: 50 for each id
MAX_TEXT_IDS_BODY = 4 << 20  # of one whose ids are text, or of several columns
ReadValue = Callable[[JsonReader], Any]
INLINE_BODY = 16 << 10  # bytes that are parsed on the event loop
STEP_RESULTS = 256  # encoded at a time


def path_id(ids: EntityIds, request: Request) -> EntityId:
    """Returns the id in the path. Raises Problem 422."""
    try:
        return ids.parse_segment(request.path_params["id"])
    except IdError as error:
        raise _invalid_id(ids, [_fault(ids, error)]) from None


def _fault(ids: EntityIds, error: IdError) -> Fault:
    of_column = len(ids.columns) > 1 and error.column is not None
    return {"loc": ["id", error.column] if of_column else ["id"], "msg": error.reason}


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


async def parse_body(online: OnlineFeatures, body: bytes, parse: Callable[[bytes], T]) -> T:
    """Returns what `parse` makes of a body; a long one is parsed off the event loop."""
    return await online.offload(partial(parse, body), len(body), INLINE_BODY)


async def read_ids(online: OnlineFeatures, request: Request) -> list[EntityId]:
    """Returns the ids of a request's body. Raises Problem 400, 404, 413, 422 or 503."""
    ids = await online.entity_ids()
    return await parse_body(online, await request.body(max_ids_body(ids)), partial(body_ids, ids))


def max_ids_body(ids: EntityIds) -> int:
    """Returns how many bytes a body of ids may have."""
    return MAX_IDS_BODY if ids.types == ("integer",) else MAX_TEXT_IDS_BODY


def body_ids(ids: EntityIds, body: bytes) -> list[EntityId]:
    """Returns the ids of a body: `{"ids": […]}`, or the list alone. Raises Problem 400 or 422."""
    reader = JsonReader(body)
    content = read_object(reader, {"ids": JsonReader.any_value})
    reader.end()
    named = core_schema.typed_dict_schema(
        {"ids": core_schema.typed_dict_field(ids_schema(ids))}, extra_behavior="forbid"
    )
    try:
        if isinstance(content, list):
            values: list[Any] = SchemaValidator(ids_schema(ids)).validate_python(content)
        else:
            values = SchemaValidator(named).validate_python(content)["ids"]
    except ValidationError as error:
        raise _invalid_id(ids, rows_error(error).faults) from None
    return values


def ids_schema(ids: EntityIds) -> core_schema.CoreSchema:
    """Returns the schema of a list of ids: integers or text; of several columns, objects with one member for each."""
    return core_schema.list_schema(
        _id_schema(ids), min_length=1, max_length=MAX_IDS, strict=True, fail_fast=True
    )


def _id_schema(ids: EntityIds) -> core_schema.CoreSchema:
    if ids.types == ("integer",):
        return column_schema("integer")
    if len(ids.columns) == 1:
        return column_schema(ids.types[0])
    columns = {
        name: core_schema.typed_dict_field(column_schema(kind))
        for name, kind in zip(ids.columns, ids.types, strict=True)
    }
    record = core_schema.typed_dict_schema(columns, extra_behavior="forbid", strict=True)
    return core_schema.no_info_after_validator_function(
        lambda values: tuple(values[name] for name in ids.columns), record
    )


def column_schema(kind: IdType) -> core_schema.CoreSchema:
    """Returns the schema of one column of an id."""
    if kind == "integer":
        return core_schema.int_schema(strict=True, ge=MIN_INTEGER, le=MAX_INTEGER)
    single = EntityIds(("id",), (kind,))

    def check(value: Any) -> Any:
        try:
            return single.check(value)
        except IdError as error:
            raise PydanticCustomError("id", "{reason}", {"reason": error.reason}) from None

    return core_schema.no_info_after_validator_function(check, core_schema.str_schema(strict=True))


def read_object(reader: JsonReader, members: Mapping[str, ReadValue]) -> Any:
    """Returns the object that comes next, or another value; `members` reads each member that is known.

    Of unknown members it returns one, which is enough to make the object invalid. Raises Problem 400 or 413.
    """
    if reader.peek() != b"{":
        return reader.any_value()
    values: dict[str, Any] = {}
    for name in reader.members():
        value = members.get(name, JsonReader.any_value)(reader)
        if name in members or values.keys() <= members.keys():
            values[name] = value
    return values


def _invalid_id(ids: EntityIds, faults: Sequence[Fault]) -> Problem:
    several = len(ids.columns) > 1
    return Problem(422, f"An id is {'made of ' * several}{ids.form}; see errors.", faults)


UNKNOWN = "unknown"
TIME_OPTIONS = orjson.OPT_UTC_Z


class FeatureRoutes:
    """Routes below `/features`."""

    def __init__(self, online: OnlineFeatures) -> None:
        self._online = online

    async def get(self, request: Request) -> Response:
        """Answers `GET /features/{id}`: the features of one entity."""
        entity, at = path_id(await self._online.entity_ids(), request), served_event(request)
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
        entities = await read_ids(self._online, request)
        request.parsed = perf_counter()
        stored = await self._online.get_many(entities, at)
        request.fetched = perf_counter()
        view = self._online.required_view()
        results = (
            missing_result(view, entity, "features")
            if features is None
            else _result(view, features)
            for entity, features in zip(entities, stored, strict=True)
        )
        encode = partial(encode_in_steps, results, STEP_RESULTS)
        return Response(
            b'{"results":[%b]}' % await self._online.offload(encode, len(entities), INLINE_IDS)
        )


def encode_in_steps(results: Iterator[Any], size: int) -> bytes:
    """Returns results as JSON, a comma between two; so many are encoded at a time."""
    return b",".join(
        orjson.dumps(step, option=TIME_OPTIONS)[1:-1]
        for step in iter(lambda: list(islice(results, size)), [])
    )


def _result(view: ViewRecord, features: "Features") -> dict[str, Any]:
    return {
        **id_fields(view, features.entity),
        "features": features.values,
        "as_of": features.as_of,
        "computed_at": datetime.fromtimestamp(int(features.computed_at), UTC),
        "stale": features.stale,
        "view": view.name,
        "view_version": features.view,
    }


def id_fields(view: ViewRecord, entity: EntityId) -> dict[str, Any]:
    """Returns the columns of an entity's id, for an answer."""
    if isinstance(entity, tuple):
        return dict(zip(view.entity_columns, entity, strict=True))
    return {view.entity_columns[0]: entity}


def missing_result(view: ViewRecord, entity: EntityId, field: str) -> dict[str, Any]:
    """Returns the result of an entity that the store does not have; `field` is null in it."""
    return {**id_fields(view, entity), field: None, "error": UNKNOWN}
