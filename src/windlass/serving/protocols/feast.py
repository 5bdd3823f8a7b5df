"""Protocol of Feast's feature server: `POST /get-online-features`, one column of values for each feature."""

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, time
from functools import partial
from time import perf_counter
from typing import TYPE_CHECKING, Any

import orjson
from pydantic_core import SchemaValidator, ValidationError, core_schema

from windlass.core.entity_ids import EntityId, EntityIds
from windlass.core.feature_view import ViewRecord
from windlass.core.on_demand import PointInTime
from windlass.core.row_validator import rows_error
from windlass.errors import Fault
from windlass.serving.feature_routes import (
    ReadValue,
    encode_in_steps,
    ids_schema,
    parse_body,
    read_object,
    served_event,
)
from windlass.serving.json_reader import JsonReader
from windlass.serving.online_features import OnlineFeatures
from windlass.serving.predict import require_json
from windlass.web.messages import Request, Response
from windlass.web.openapi import Json
from windlass.web.problems import Problem

if TYPE_CHECKING:
    from windlass.features.online.reader import Features

MAX_FEATURES = 1000  # in one request, which may name a feature twice
MAX_VALUES = 1_000_000  # in one answer
INLINE_VALUES = 1000  # of an answer that is encoded on the event loop
MAX_BODY = 1 << 20  # bytes of a request
MAX_TEXT_BODY = 5 << 20  # of one whose ids are text, or of several columns

# the event time of an id or of a missing value, as Feast has it
_EPOCH = datetime.fromtimestamp(0, UTC)


class FeastFeatureServer:
    """Feast's route of one project."""

    def __init__(self, online: OnlineFeatures) -> None:
        self._online = online
        self._cached: tuple[ViewRecord, EntityIds, SchemaValidator] | None = None

    async def get(self, request: Request) -> Response:
        """Returns the requested features of the requested entities; null where there is none, with a status."""
        require_json(request)
        at = served_event(request)
        ids = await self._online.entity_ids()
        body, view = await request.body(_max_body(ids)), self._online.required_view()
        content = await parse_body(self._online, body, partial(_read_query, view))
        try:
            query: Json = self._validator(view, ids).validate_python(content)
            entities = _entities(ids, query["entities"])
        except ValidationError as error:
            raise Problem(
                422,
                "The body is not a request of Feast's feature server; see errors.",
                rows_error(error).faults,
            ) from None
        if len(entities) * len(query["features"]) > MAX_VALUES:
            raise Problem(
                413,
                f"The answer would hold more than {MAX_VALUES} values. Ask for fewer at a time.",
            )
        request.parsed = perf_counter()
        stored = await self._online.get_many(entities, at)
        request.fetched = perf_counter()
        names = [name.partition(":")[2] for name in query["features"]]
        columns = (
            [f"{view.name}__{name}" for name in names] if query["full_feature_names"] else names
        )
        results = [
            *(partial(_ids, query["entities"][name]) for name in ids.columns),
            *(partial(_column, name, stored) for name in names),
        ]
        encode = partial(
            _encode, orjson.dumps({"feature_names": [*ids.columns, *columns]}), results
        )
        size = len(entities) * len(results)
        return Response(await self._online.offload(encode, size, INLINE_VALUES))

    def _validator(self, view: ViewRecord, ids: EntityIds) -> SchemaValidator:
        if self._cached is None or self._cached[:2] != (view, ids):
            self._cached = view, ids, SchemaValidator(_request_schema(view, ids))
        return self._cached[2]


def _max_body(ids: EntityIds) -> int:
    return MAX_BODY if ids.types == ("integer",) else MAX_TEXT_BODY


def _entities(ids: EntityIds, columns: Mapping[str, list[Any]]) -> Sequence[EntityId]:
    """Returns the entities whose columns a request lists. Raises Problem 422 for lists of different lengths."""
    lists = [columns[name] for name in ids.columns]
    if len({len(values) for values in lists}) > 1:
        faults: list[Fault] = [
            {
                "loc": ["entities"],
                "msg": "The lists of the entity's columns should have the same length",
            }
        ]
        raise Problem(
            422, "The body is not a request of Feast's feature server; see errors.", faults
        )
    return lists[0] if len(lists) == 1 else list(zip(*lists, strict=True))


def _encode(metadata: bytes, columns: Sequence[Callable[[], Json]]) -> bytes:
    """Returns the answer; its columns are made and encoded one after the other."""
    encoded = encode_in_steps((column() for column in columns), 1)
    return b"".join((b'{"metadata":', metadata, b',"results":[', encoded, b"]}"))


def _read_query(view: ViewRecord, body: bytes) -> Json:
    """Returns the request that a body holds, not validated. Raises Problem 400 or 413."""
    reader = JsonReader(body)
    entities = dict.fromkeys(view.entity_columns, JsonReader.any_value)
    members: dict[str, ReadValue] = {
        "features": JsonReader.any_value,
        "entities": partial(read_object, members=entities),
        "full_feature_names": JsonReader.any_value,
    }
    query: Json = read_object(reader, members)
    reader.end()
    return query


def _request_schema(view: ViewRecord, ids: EntityIds) -> core_schema.CoreSchema:
    """Returns the schema of a request: features as `view:feature`, and ids under the names of the entity's columns."""
    field = core_schema.typed_dict_field
    features = core_schema.literal_schema([f"{view.name}:{name}" for name in view.features])
    columns = {
        name: field(ids_schema(EntityIds((name,), (kind,))))
        for name, kind in zip(ids.columns, ids.types, strict=True)
    }
    entities = core_schema.typed_dict_schema(columns, extra_behavior="forbid")
    full = core_schema.with_default_schema(core_schema.bool_schema(strict=True), default=False)
    return core_schema.typed_dict_schema(
        {
            "features": field(
                core_schema.list_schema(
                    features, min_length=1, max_length=MAX_FEATURES, strict=True, fail_fast=True
                )
            ),
            "entities": field(entities),
            "full_feature_names": field(full, required=False),
        },
        extra_behavior="forbid",
    )


def _ids(entities: Sequence[int | str]) -> Json:
    count = len(entities)
    return {
        "values": entities,
        "statuses": ["PRESENT"] * count,
        "event_timestamps": [_EPOCH] * count,
    }


def _column(name: str, stored: "Sequence[Features | None]") -> Json:
    return {
        "values": [None if features is None else features.values[name] for features in stored],
        "statuses": [_status(name, features) for features in stored],
        "event_timestamps": [
            _EPOCH if features is None else _event_time(features.as_of) for features in stored
        ],
    }


def _event_time(as_of: PointInTime) -> datetime:
    return as_of if isinstance(as_of, datetime) else datetime.combine(as_of, time(), UTC)


def _status(name: str, features: "Features | None") -> str:
    if features is None:
        return "NOT_FOUND"
    return "NULL_VALUE" if features.values[name] is None else "PRESENT"
