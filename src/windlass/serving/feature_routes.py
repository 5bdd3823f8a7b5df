"""Feature routes of one project: the stored features of one entity, and of many."""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from functools import partial
from itertools import islice
from time import perf_counter
from typing import TYPE_CHECKING, Any, TypeVar

import orjson
from pydantic_core import SchemaValidator, ValidationError, core_schema

from windlass.core.feature_view import SERVED_EVENTS, ServedEvent, ViewRecord
from windlass.core.row_validator import rows_error
from windlass.errors import Fault
from windlass.serving.json_reader import JsonReader
from windlass.serving.online_features import INLINE_IDS, OnlineFeatures
from windlass.serving.predict import require_json
from windlass.web.messages import Request, Response
from windlass.web.problems import Problem

if TYPE_CHECKING:
    from windlass.features.online.reader import Features

T = TypeVar("T")

MIN_ID, MAX_ID = -(2**63), 2**63 - 1
MAX_IDS = 10_000  # in one request
MAX_IDS_BODY = 512 << 10  # bytes of such a request: 50 for each id
ReadValue = Callable[[JsonReader], Any]
INLINE_BODY = 16 << 10  # bytes that are parsed on the event loop
STEP_RESULTS = 256  # encoded at a time

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


async def parse_body(online: OnlineFeatures, body: bytes, parse: Callable[[bytes], T]) -> T:
    """Returns what `parse` makes of a body; a long one is parsed off the event loop."""
    return await online.offload(partial(parse, body), len(body), INLINE_BODY)


async def read_ids(online: OnlineFeatures, request: Request) -> list[int]:
    """Returns the ids of a request's body. Raises Problem 400, 413 or 422."""
    return await parse_body(online, await request.body(MAX_IDS_BODY), body_ids)


def body_ids(body: bytes) -> list[int]:
    """Returns the ids of a body: `{"ids": […]}`, or the list alone. Raises Problem 400 or 422."""
    reader = JsonReader(body)
    content = read_object(reader, {"ids": JsonReader.any_value})
    reader.end()
    try:
        if isinstance(content, list):
            ids: list[int] = _LIST.validate_python(content)
        else:
            ids = _OBJECT.validate_python(content)["ids"]
    except ValidationError as error:
        raise _invalid_id(rows_error(error).faults) from None
    return ids


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
