"""The shape of Feast's feature server: `POST /get-online-features`, a column of values a feature."""

from collections.abc import Sequence
from datetime import UTC, datetime, time
from time import perf_counter
from typing import TYPE_CHECKING

import orjson
from pydantic_core import SchemaValidator, ValidationError, core_schema

from windlass.core.feature_view import ViewRecord
from windlass.core.row_validator import rows_error
from windlass.serving.feature_routes import IDS, TIMES
from windlass.serving.online_features import OnlineFeatures
from windlass.serving.predict import refused, require_json
from windlass.web.messages import Request, Response
from windlass.web.openapi import Json
from windlass.web.problems import Problem

if TYPE_CHECKING:
    from windlass.features.online.reader import Features

MAX_FEATURES = 1000  # in one request, for one may be asked for twice

_NEVER = datetime.fromtimestamp(0, UTC)  # the time of what has none, as Feast tells it


class FeastFeatureServer:
    """The route of one project."""

    def __init__(self, online: OnlineFeatures) -> None:
        self._online = online
        self._asking: tuple[ViewRecord, SchemaValidator] | None = None

    async def get(self, exchange: Request) -> Response:
        """The features asked for, of the entities asked for; null where there is none, with the reason."""
        require_json(exchange)
        body, view = await exchange.body(), self._online.declared
        try:
            asked: Json = self._validator(view).validate_json(body)
        except ValidationError as error:
            found = rows_error(error)
            if found.malformed:
                raise refused(found) from None
            raise Problem(
                422, "This is not asked as Feast asks; see errors.", found.faults
            ) from None
        entities: list[int] = asked["entities"][view.entity]
        exchange.parsed = perf_counter()
        known = await self._online.get_many(entities)
        exchange.fetched = perf_counter()
        names = [name.partition(":")[2] for name in asked["features"]]
        shown = [f"{view.name}__{name}" for name in names] if asked["full_feature_names"] else names
        answer = {
            "metadata": {"feature_names": [view.entity, *shown]},
            "results": [_ids(entities), *(_column(name, known) for name in names)],
        }
        return Response(orjson.dumps(answer, option=TIMES))

    def _validator(self, view: ViewRecord) -> SchemaValidator:
        if self._asking is None or self._asking[0] != view:
            self._asking = view, SchemaValidator(_asked(view))
        return self._asking[1]


def _asked(view: ViewRecord) -> core_schema.CoreSchema:
    """What a request may hold: features as `view:feature`, and ids under the entity's name."""
    field = core_schema.typed_dict_field
    features = core_schema.literal_schema([f"{view.name}:{name}" for name in view.features])
    entities = core_schema.typed_dict_schema({view.entity: field(IDS)}, extra_behavior="forbid")
    full = core_schema.with_default_schema(core_schema.bool_schema(strict=True), default=False)
    return core_schema.typed_dict_schema(
        {
            "features": field(
                core_schema.list_schema(features, min_length=1, max_length=MAX_FEATURES)
            ),
            "entities": field(entities),
            "full_feature_names": field(full, required=False),
        },
        extra_behavior="forbid",
    )


def _ids(entities: Sequence[int]) -> Json:
    count = len(entities)
    return {
        "values": entities,
        "statuses": ["PRESENT"] * count,
        "event_timestamps": [_NEVER] * count,
    }


def _column(name: str, known: "Sequence[Features | None]") -> Json:
    return {
        "values": [None if one is None else one.values[name] for one in known],
        "statuses": [_status(name, one) for one in known],
        "event_timestamps": [_NEVER if one is None else _event(one) for one in known],
    }


def _status(name: str, one: "Features | None") -> str:
    if one is None:
        return "NOT_FOUND"
    return "NULL_VALUE" if one.values[name] is None else "PRESENT"


def _event(one: "Features") -> datetime:
    return datetime.combine(one.as_of, time(), UTC)
