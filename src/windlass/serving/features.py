"""The feature routes of one project: what is known of an entity now, and of many."""

from datetime import UTC, datetime
from time import perf_counter
from typing import TYPE_CHECKING, Any

import orjson

from windlass.core.feature_view import ViewRecord
from windlass.serving.identifiers import body_ids, path_id
from windlass.serving.online import Online
from windlass.serving.predict import require_json
from windlass.web.exchange import Answer, Exchange

if TYPE_CHECKING:
    from windlass.features.online.reading import Features

UNKNOWN = "unknown"
TIMES = orjson.OPT_UTC_Z | orjson.OPT_OMIT_MICROSECONDS


class FeatureRoutes:
    """`/features`."""

    def __init__(self, online: Online) -> None:
        self._online = online

    async def one(self, exchange: Exchange) -> Answer:
        """`GET /features/{id}`: the features of one entity."""
        entity = path_id(exchange)
        exchange.parsed = perf_counter()
        features = await self._online.get(entity)
        exchange.fetched = perf_counter()
        return Answer(orjson.dumps(_known(self._online.declared, features), option=TIMES))

    async def many(self, exchange: Exchange) -> Answer:
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
        return Answer(orjson.dumps({"results": results}, option=TIMES))


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
