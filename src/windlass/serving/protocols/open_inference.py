"""Open Inference Protocol V2: the routes at `/v2` and below."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import orjson

from windlass._version import __version__
from windlass.auth.key import Role
from windlass.core.row_schema import ColumnKind
from windlass.serving.json_reader import JsonReader
from windlass.serving.predict import Predictor
from windlass.serving.protocols.infer import InferRequest, output_tensors
from windlass.serving.served_project import ServedProject
from windlass.serving.status import StatusRoutes
from windlass.web.messages import JSON, Request, Response
from windlass.web.problems import Problem
from windlass.web.routing import Route

PREFIX = "/v2"
MAX_INDEX_BODY = 64 << 10
_DATATYPES = {
    ColumnKind.NUMBER: "FP64",
    ColumnKind.INTEGER: "INT64",
    ColumnKind.BOOLEAN: "BOOL",
    ColumnKind.DATE: "BYTES",
    ColumnKind.DATETIME: "BYTES",
    ColumnKind.CATEGORY: "BYTES",
    ColumnKind.VECTOR: "FP64",
}


class OpenInferenceV2:
    """Routes of the protocol.

    Errors of all paths below `/v2` are `{"error": …}`.
    """

    def __init__(
        self,
        projects: Sequence[ServedProject],
        predictors: Mapping[str, Predictor],
        status_routes: StatusRoutes,
    ) -> None:
        self._projects = {project.name: project for project in projects}
        self._predictors = predictors
        self._status_routes = status_routes

    def routes(self) -> list[Route]:
        """Returns the routes of the protocol."""
        routes = [
            Route("GET", "/v2", self.server),
            Route("GET", "/v2/health/live", self.live),
            Route("GET", "/v2/health/ready", self.ready),
            Route("POST", "/v2/repository/index", self.index, role=Role.PREDICT),
            Route("GET", "/v2/models/stats", self.statistics, role=Role.PREDICT),
        ]
        # a version is in the path, or in the query as on our own routes
        for path, query in (
            ("/v2/models/{model}", ("version",)),
            ("/v2/models/{model}/versions/{version}", ()),
        ):
            routes += [
                Route("GET", path, self.metadata, role=Role.PREDICT, query=query),
                Route("GET", f"{path}/ready", self.model_ready),
                Route("GET", f"{path}/config", self.config, role=Role.PREDICT, query=query),
                Route("GET", f"{path}/stats", self.statistics, role=Role.PREDICT),
                Route("POST", f"{path}/infer", self.infer, role=Role.PREDICT, query=query),
            ]
        return routes

    async def server(self, _: Request) -> Response:
        """Answers `GET /v2`: the server's metadata."""
        extensions = ["binary_tensor_data", "classification"]
        return _json({"name": "windlass", "version": __version__, "extensions": extensions})

    async def live(self, _: Request) -> Response:
        """Answers `GET /v2/health/live`: 200 while the process runs."""
        return _json({"live": True})

    async def ready(self, _: Request) -> Response:
        """Answers `GET /v2/health/ready`: 200 once every model is ready, else 503."""
        ready = self._status_routes.is_ready()
        return _json({"ready": ready}, 200 if ready else 503)

    async def model_ready(self, request: Request) -> Response:
        """Answers `GET …/ready` of a model: 200 once it is ready, else 503."""
        project = self._find(request)
        try:
            await self._predictors[project.name].resolve_model(request)
            status = 200 if project.unready_reason is None else 503
        except Problem as problem:
            if problem.status != 503:
                raise
            status = 503
        return _json({"name": project.name, "ready": status == 200, "live": True}, status)

    async def metadata(self, request: Request) -> Response:
        """Answers `GET /v2/models/{model}`: name, versions, platform, inputs and outputs."""
        project = self._find(request)
        model = await self._predictors[project.name].resolve_model(request)
        inputs = [
            {"name": column.name, "datatype": _DATATYPES[column.kind], "shape": [-1, column.width]}
            for column in model.schema.columns
        ]
        outputs = [
            {"name": name, "datatype": datatype, "shape": [-1, *rest]}
            for name, datatype, rest in output_tensors(model.target)
        ]
        platform = "onnx_onnxruntime" if model.engine.name == "onnx" else "sklearn"
        return _json(
            {
                "name": project.name,
                "versions": project.available_versions or [model.version],
                "platform": platform,
                "inputs": inputs,
                "outputs": outputs,
            }
        )

    async def infer(self, request: Request) -> Response:
        """Answers `POST …/infer`: predicts the rows that the input tensors hold."""
        project = self._find(request)
        body = await request.body()
        predictor = self._predictors[project.name]
        model = await predictor.resolve_model(request)
        query = InferRequest(request, body)
        return await predictor.predict_rows(request, model, query.read, query.encode, len(body))

    async def index(self, request: Request) -> Response:
        """Answers `POST /v2/repository/index`, Triton's list of models: their versions, and whether they are ready."""
        query = JsonReader(await request.body(MAX_INDEX_BODY))
        options = query.value() if query.peek() else {}
        only_ready = isinstance(options, dict) and options.get("ready") is True
        models = [
            {"name": project.name, "version": version, "state": state, "reason": reason}
            for project in self._projects.values()
            for version, state, reason in _states(project)
            if state == "READY" or not only_ready
        ]
        return _json(models)

    async def config(self, request: Request) -> Response:
        """Answers `GET …/config`, Triton's model configuration, which is not offered."""
        self._find(request)
        raise Problem(
            404, "There is no model configuration here. The metadata of the model has its tensors."
        )

    async def statistics(self, request: Request) -> Response:
        """Answers `GET …/stats`, Triton's statistics, which are not offered."""
        if "model" in request.path_params:
            self._find(request)
        raise Problem(404, "There are no statistics here. /metrics has counts and latencies.")

    def _find(self, request: Request) -> ServedProject:
        project = self._projects.get(request.path_params["model"])
        if project is None:
            raise Problem(404, "There is no such model here.")
        request.project = project.name
        return project


def encode_error(problem: Problem) -> tuple[int, bytes]:
    """Returns a problem as the protocol has errors: its status, and `{"error": …}`."""
    faults = [
        ": ".join(filter(None, [".".join(map(str, fault["loc"])), fault["msg"]]))
        for fault in problem.errors
    ]
    status = 400 if problem.status == 422 else problem.status
    return status, orjson.dumps({"error": "; ".join([problem.detail, *faults])})


def _states(project: ServedProject) -> Iterator[tuple[str, str, str]]:
    """Yields version, state and reason as Triton's index has them; a version that is loaded on demand is ready too."""
    if project.model is None:
        yield "", "UNAVAILABLE", str(project.unready_reason)
        return
    for version in project.available_versions or [project.model.version]:
        yield version, "READY", ""


def _json(value: Any, status: int = 200) -> Response:
    return Response(orjson.dumps(value), JSON, status)
