"""The V1 protocol of KServe and TensorFlow Serving, and Vertex AI's: `{"instances": […]}`."""

from collections.abc import Mapping, Sequence

import orjson

from windlass.auth.key import Role
from windlass.serving.model import Model
from windlass.serving.predict import Predictor, Rows, require_json
from windlass.serving.protocols.rows import parse_object, read_rows, rows_of
from windlass.serving.served_project import Hosted
from windlass.web.messages import Answer, Exchange
from windlass.web.problems import Problem
from windlass.web.routing import Route


class V1:
    """`/v1/models` and below."""

    def __init__(self, hosted: Sequence[Hosted], predictors: Mapping[str, Predictor]) -> None:
        self._hosted = {one.name: one for one in hosted}
        self._predictors = predictors

    def routes(self) -> list[Route]:
        """The routes of the protocol."""
        return [
            Route("GET", "/v1/models", self.models, role=Role.PREDICT),
            Route("POST", "/v1/models/{model}:predict", self.predict, role=Role.PREDICT),
            Route("GET", "/v1/models/{model}", self.model),
        ]

    async def models(self, _: Exchange) -> Answer:
        """Which models there are."""
        return Answer(orjson.dumps({"models": list(self._hosted)}))

    async def model(self, exchange: Exchange) -> Answer:
        """Whether one model is ready."""
        hosted = self._find(exchange)
        return Answer(orjson.dumps({"name": hosted.name, "ready": hosted.model is not None}))

    async def predict(self, exchange: Exchange) -> Answer:
        """One prediction an instance, in order."""
        return await self._answer(exchange, self._find(exchange))

    async def only(self, exchange: Exchange) -> Answer:
        """As `predict`, where the path names no model: Vertex AI's predict route."""
        (hosted,) = self._hosted.values()
        return await self._answer(exchange, hosted)

    def _find(self, exchange: Exchange) -> Hosted:
        hosted = self._hosted.get(exchange.arguments["model"])
        if hosted is None:
            raise Problem(404, "There is no such model here. See /v1/models.")
        exchange.project = hosted.name
        return hosted

    async def _answer(self, exchange: Exchange, hosted: Hosted) -> Answer:
        require_json(exchange)
        body = await exchange.body()
        predictor = self._predictors[hosted.name]
        model = await predictor.model(exchange)

        def read(model: Model) -> Rows:
            items = parse_object(body).get("instances")
            return read_rows(model, rows_of(model.schema, items, "instances"))

        answer = await predictor.rows(exchange, model, read, len(body))
        return Answer(orjson.dumps({"predictions": answer["predictions"]}))
