"""V1 protocol of KServe and TensorFlow Serving, and Vertex AI's: `{"instances": […]}`."""

from collections.abc import Iterator, Mapping, Sequence
from functools import partial

import orjson

from windlass.auth.key import Role
from windlass.serving.batch_answer import BatchAnswer
from windlass.serving.model import ServedModel
from windlass.serving.predict import Predictor, Rows, require_json
from windlass.serving.protocols.rows import not_a_list, open_object, read_rows
from windlass.serving.served_project import ServedProject
from windlass.web.messages import Request, Response
from windlass.web.problems import Problem
from windlass.web.routing import Route


class KServeV1:
    """Routes at `/v1/models` and below."""

    def __init__(
        self, projects: Sequence[ServedProject], predictors: Mapping[str, Predictor]
    ) -> None:
        self._projects = {project.name: project for project in projects}
        self._predictors = predictors

    def routes(self) -> list[Route]:
        """Returns the routes of the protocol."""
        return [
            Route("GET", "/v1/models", self.models, role=Role.PREDICT),
            Route(
                "POST",
                "/v1/models/{model}:predict",
                self.predict,
                role=Role.PREDICT,
                query=("version",),
            ),
            Route("GET", "/v1/models/{model}", self.model),
        ]

    async def models(self, _: Request) -> Response:
        """Answers `GET /v1/models`: the names of the models."""
        return Response(orjson.dumps({"models": list(self._projects)}))

    async def model(self, request: Request) -> Response:
        """Answers `GET /v1/models/{model}`: whether the model is ready."""
        project = self._find(request)
        return Response(
            orjson.dumps({"name": project.name, "ready": project.unready_reason is None})
        )

    async def predict(self, request: Request) -> Response:
        """Answers `POST /v1/models/{model}:predict`: one prediction for each instance, in order."""
        return await self._answer(request, self._find(request))

    async def predict_only_model(self, request: Request) -> Response:
        """Answers as `predict` on a path without a model name: Vertex AI's predict route."""
        (project,) = self._projects.values()
        return await self._answer(request, project)

    def _find(self, request: Request) -> ServedProject:
        project = self._projects.get(request.path_params["model"])
        if project is None:
            raise Problem(404, "There is no such model here. See /v1/models.")
        request.project = project.name
        return project

    async def _answer(self, request: Request, project: ServedProject) -> Response:
        require_json(request)
        body = await request.body()
        predictor = self._predictors[project.name]
        model = await predictor.resolve_model(request)

        read = partial(_instances, body=body)
        return await predictor.predict_rows(request, model, read, encode_predictions, len(body))


def _instances(model: ServedModel, body: bytes) -> Iterator[Rows]:
    """Yields the rows of `{"instances": […]}`. Raises Problem 400, 413 or 422."""
    reader, is_found = open_object(model, body), False
    for name in reader.members():
        if name == "instances":
            is_found = True
            yield from read_rows(model, reader, name)
        else:
            reader.value()
    reader.end()
    if not is_found:
        raise not_a_list(["instances"])


def encode_predictions(answer: BatchAnswer, _: bytes) -> Response:
    """Returns the answer `{"predictions": […]}`."""
    return Response(b"".join((b'{"predictions":', answer.encode_instances(), b"}")))
