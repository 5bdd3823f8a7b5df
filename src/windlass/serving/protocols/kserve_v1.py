"""The V1 protocol of KServe and TensorFlow Serving, and Vertex AI's: `{"instances": […]}`."""

from collections.abc import Mapping, Sequence

import orjson

from windlass.auth.key import Role
from windlass.serving.model import ServedModel
from windlass.serving.predict import Predictor, Rows, require_json
from windlass.serving.protocols.rows import parse_object, read_rows, rows_of
from windlass.serving.served_project import ServedProject
from windlass.web.messages import Request, Response
from windlass.web.problems import Problem
from windlass.web.routing import Route


class KServeV1:
    """`/v1/models` and below."""

    def __init__(
        self, hosted: Sequence[ServedProject], predictors: Mapping[str, Predictor]
    ) -> None:
        self._hosted = {one.name: one for one in hosted}
        self._predictors = predictors

    def routes(self) -> list[Route]:
        """The routes of the protocol."""
        return [
            Route("GET", "/v1/models", self.models, role=Role.PREDICT),
            Route("POST", "/v1/models/{model}:predict", self.predict, role=Role.PREDICT),
            Route("GET", "/v1/models/{model}", self.model),
        ]

    async def models(self, _: Request) -> Response:
        """Which models there are."""
        return Response(orjson.dumps({"models": list(self._hosted)}))

    async def model(self, exchange: Request) -> Response:
        """Whether one model is ready."""
        hosted = self._find(exchange)
        return Response(orjson.dumps({"name": hosted.name, "ready": hosted.model is not None}))

    async def predict(self, exchange: Request) -> Response:
        """One prediction an instance, in order."""
        return await self._answer(exchange, self._find(exchange))

    async def only(self, exchange: Request) -> Response:
        """As `predict`, where the path names no model: Vertex AI's predict route."""
        (hosted,) = self._hosted.values()
        return await self._answer(exchange, hosted)

    def _find(self, exchange: Request) -> ServedProject:
        hosted = self._hosted.get(exchange.path_params["model"])
        if hosted is None:
            raise Problem(404, "There is no such model here. See /v1/models.")
        exchange.project = hosted.name
        return hosted

    async def _answer(self, exchange: Request, hosted: ServedProject) -> Response:
        require_json(exchange)
        body = await exchange.body()
        predictor = self._predictors[hosted.name]
        model = await predictor.model(exchange)

        def read(model: ServedModel) -> Rows:
            items = parse_object(body).get("instances")
            return read_rows(model, rows_of(model.schema, items, "instances"))

        answer = await predictor.rows(exchange, model, read, len(body))
        return Response(orjson.dumps({"predictions": answer["predictions"]}))
