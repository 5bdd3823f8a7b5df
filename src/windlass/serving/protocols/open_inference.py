"""Open Inference Protocol V2: the routes at `/v2` and below."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

import orjson

from windlass._version import __version__
from windlass.auth.key import Role
from windlass.core.row_schema import ColumnKind, ColumnSchema, RowSchema
from windlass.errors import EngineError, RejectedRowsError
from windlass.serving.model import ServedModel
from windlass.serving.predict import Predictor, Rows
from windlass.serving.protocols.rows import validate_rows
from windlass.serving.protocols.tensors import BinaryTail, Tensor, TensorError, encode, read_tensor
from windlass.serving.served_project import ServedProject
from windlass.serving.status import StatusRoutes
from windlass.web.messages import JSON, Request, Response
from windlass.web.problems import Problem, rejected
from windlass.web.routing import Route

_DATATYPES = {
    ColumnKind.NUMBER: "FP64",
    ColumnKind.INTEGER: "INT64",
    ColumnKind.BOOLEAN: "BOOL",
    ColumnKind.DATE: "BYTES",
    ColumnKind.CATEGORY: "BYTES",
}
_MAX_DAYS = 700_000  # from 1970, within the calendar's years 1 to 9999
_JSON_LENGTH = b"inference-header-content-length"
Handler = Callable[[Request], Awaitable[Response]]


class OpenInferenceV2:
    """Routes of the protocol.

    Its errors are `{"error": …}`.
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
            Route("GET", "/v2", _with_v2_errors(self.server)),
            Route("GET", "/v2/health/live", _with_v2_errors(self.live)),
            Route("GET", "/v2/health/ready", _with_v2_errors(self.ready)),
        ]
        for path in ("/v2/models/{model}", "/v2/models/{model}/versions/{version}"):
            routes += [
                Route("GET", path, _with_v2_errors(self.metadata), role=Role.PREDICT),
                Route("GET", f"{path}/ready", _with_v2_errors(self.model_ready)),
                Route("POST", f"{path}/infer", _with_v2_errors(self.infer), role=Role.PREDICT),
            ]
        return routes

    async def server(self, _: Request) -> Response:
        """Answers `GET /v2`: the server's metadata."""
        extensions = ["binary_tensor_data"]
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
            {"name": column.name, "datatype": _DATATYPES[column.kind], "shape": [-1, 1]}
            for column in model.schema.columns
        ]
        outputs = [
            {"name": name, "datatype": datatype, "shape": [-1, *rest]}
            for name, datatype, rest in _outputs(model)
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
        payload, tail = _split_body(request, body)
        specs = payload.get("inputs")
        if not isinstance(specs, list) or not specs:
            raise TensorError("inputs must be a list of tensors")
        binary_by_output = _requested_outputs(model, payload)

        def read(model: ServedModel) -> Rows:
            tensors = [read_tensor(spec, tail) for spec in specs]
            tail.end()
            return validate_rows(model, _rows(model.schema, tensors))

        answer = await predictor.predict_rows(request, model, read, len(body))
        return _encode_answer(payload, model, answer, binary_by_output)

    def _find(self, request: Request) -> ServedProject:
        project = self._projects.get(request.path_params["model"])
        if project is None:
            raise Problem(404, "There is no such model here.")
        request.project = project.name
        return project


def _with_v2_errors(handler: Handler) -> Handler:
    """Wraps a handler so that its errors have the protocol's form."""

    async def wrapped(request: Request) -> Response:
        try:
            return await handler(request)
        except TensorError as error:
            return _json({"error": str(error)}, 400)
        except RejectedRowsError as error:
            return _problem_response(rejected(error.faults))
        except EngineError:
            return _json({"error": "the model cannot predict these rows"}, 400)
        except Problem as problem:
            return _problem_response(problem)

    return wrapped


def _problem_response(problem: Problem) -> Response:
    """Returns a problem in the protocol's form, which has one text for all faults and no 422."""
    faults = [f"{'.'.join(map(str, fault['loc']))}: {fault['msg']}" for fault in problem.errors]
    body = orjson.dumps({"error": "; ".join([problem.detail, *faults])})
    return Response(body, JSON, 400 if problem.status == 422 else problem.status, problem.headers)


def _json(value: Any, status: int = 200) -> Response:
    return Response(orjson.dumps(value), JSON, status)


def _split_body(request: Request, body: bytes) -> tuple[dict[str, Any], BinaryTail]:
    """Returns the JSON part of a body and the binary data behind it. Raises TensorError."""
    header = request.header(_JSON_LENGTH)
    if header is not None and (len(header) > 18 or not header.isdigit() or int(header) > len(body)):
        raise TensorError("Inference-Header-Content-Length is not within the body")
    length = len(body) if header is None else int(header)
    try:
        payload = orjson.loads(body[:length])
    except orjson.JSONDecodeError:
        raise TensorError("the request is not valid JSON") from None
    if not isinstance(payload, dict):
        raise TensorError("the request must be an object")
    return payload, BinaryTail(body[length:])


def _rows(schema: RowSchema, tensors: list[Tensor]) -> list[dict[str, Any]]:
    """Returns the rows of one tensor for each column, or of a matrix of all numeric columns and other tensors."""
    columns: dict[str, list[Any]] = {}
    for tensor in tensors:
        for name, values in _columns(schema, tensor):
            if name in columns:
                raise TensorError("a column comes twice")
            columns[name] = values
    if len({len(values) for values in columns.values()}) != 1:
        raise TensorError("the inputs hold different numbers of rows")
    kinds = {column.name: column for column in schema.columns}
    converted = {
        name: [_value(kinds[name], value) for value in values] if name in kinds else values
        for name, values in columns.items()
    }
    return [dict(zip(converted, row, strict=True)) for row in zip(*converted.values(), strict=True)]


def _columns(schema: RowSchema, tensor: Tensor) -> list[tuple[str, list[Any]]]:
    width = 1 if len(tensor.shape) == 1 else tensor.shape[-1]
    if len(tensor.shape) > 2:
        raise TensorError("an input has the shape [rows], [rows, 1] or [rows, columns]")
    if tensor.name in schema.names or width == 1:
        if width != 1:
            raise TensorError("an input named after a column has the shape [rows] or [rows, 1]")
        return [(tensor.name[:64], tensor.values)]
    names = [column.name for column in schema.numeric]
    if width != len(names):
        raise TensorError(f"a matrix of all numeric columns has {len(names)} of them")
    return [(name, tensor.values[index::width]) for index, name in enumerate(names)]


def _value(column: ColumnSchema, value: Any) -> Any:
    """Returns a value in its column's type, where a matrix or the client made a float of it."""
    if column.kind is ColumnKind.INTEGER and isinstance(value, float) and value.is_integer():
        return int(value)
    if column.kind is ColumnKind.BOOLEAN and value in (0, 1):
        return bool(value)
    if column.kind is ColumnKind.DATE and isinstance(value, float | int) and abs(value) < _MAX_DAYS:
        return column.to_json(value) if value == int(value) else value
    return value


def _outputs(model: ServedModel) -> list[tuple[str, str, list[int]]]:
    if model.classes is None:
        return [("prediction", "FP64", [])]
    first = model.classes[0]
    datatype = "BOOL" if isinstance(first, bool) else "INT64" if isinstance(first, int) else "BYTES"
    return [("prediction", datatype, []), ("probabilities", "FP64", [len(model.classes)])]


def _requested_outputs(model: ServedModel, payload: dict[str, Any]) -> dict[str, bool]:
    """Returns the requested outputs, and whether each is in binary. Raises TensorError."""
    names = [name for name, _, _ in _outputs(model)]
    parameters = payload.get("parameters")
    binary = isinstance(parameters, dict) and parameters.get("binary_data_output") is True
    requested = payload.get("outputs")
    if requested is None:
        return dict.fromkeys(names, binary)
    binary_by_output = {}
    for output in requested if isinstance(requested, list) else [requested]:
        if not isinstance(output, dict) or output.get("name") not in names:
            raise TensorError(f"the outputs are {', '.join(names)}")
        options = output.get("parameters")
        own = options.get("binary_data", binary) if isinstance(options, dict) else binary
        binary_by_output[output["name"]] = own is True
    return binary_by_output


def _encode_answer(
    payload: dict[str, Any],
    model: ServedModel,
    answer: dict[str, Any],
    binary_by_output: dict[str, bool],
) -> Response:
    values = {"prediction": answer["predictions"]}
    if "class_probabilities" in answer:
        values["probabilities"] = [
            share for row in answer["class_probabilities"] for share in row.values()
        ]
    outputs, tails = [], []
    for name, datatype, rest in _outputs(model):
        if name not in binary_by_output:
            continue
        output: dict[str, Any] = {
            "name": name, "shape": [len(answer["predictions"]), *rest], "datatype": datatype,
        }  # fmt: skip
        if binary_by_output[name]:
            tails.append(encode(values[name], datatype))
            output["parameters"] = {"binary_data_size": len(tails[-1])}
        else:
            output["data"] = values[name]
        outputs.append(output)
    body: dict[str, Any] = {
        "model_name": model.bundle.manifest.project,
        "model_version": model.version,
    }
    request_id = payload.get("id")
    body["id"] = request_id if isinstance(request_id, str) else answer["prediction_id"]
    body["outputs"] = outputs
    encoded = orjson.dumps(body)
    if not tails:
        return Response(encoded)
    length = str(len(encoded)).encode()
    return Response(
        b"".join([encoded, *tails]), b"application/octet-stream", 200, [(_JSON_LENGTH, length)]
    )
