"""The OpenAPI 3.1 description of every route: rows, units, ranges and every error, as they are."""

from collections.abc import Sequence
from typing import Any

from windlass.core.json_schema import json_schema
from windlass.serving.model import Hosted
from windlass.serving.openapi_schemas import (
    ANSWERS,
    V2_REQUEST,
    batch_answer,
    instances,
    invocations,
    one_answer,
    values,
)
from windlass.serving.routing import Route

Json = dict[str, Any]

_ERRORS = {
    "400": "The body is not valid JSON.",
    "404": "There is no such version, model or file.",
    "413": "The body is over the limit.",
    "415": "The body is of a type that this route does not read.",
    "422": "The input does not fit the declared row; `errors` names each field.",
    "503": "The project is not ready, or the ledger cannot be written. Try again after `Retry-After`.",
}
_TABLES = ("text/csv", "application/vnd.apache.arrow.stream", "application/vnd.apache.parquet")
_HEADERS = {
    "X-Request-ID": {"description": "The caller's id, or a new one.", "schema": {"type": "string"}},
    "Server-Timing": {"description": "Milliseconds by phase.", "schema": {"type": "string"}},
}
_SUMMARIES = {
    "/health": ("Health", "The process answers."),
    "/livez": ("Liveness", "The process answers."),
    "/readyz": ("Readiness", "200 once every project's version has reproduced its golden rows."),
    "/ping": ("SageMaker's health check", "200 and an empty body once every project is ready."),
    "/metrics": ("Prometheus metrics", "One aggregate over all workers."),
    "/status": ("Status", "Live version, counts, latency quantiles and class mix."),
    "/version": ("Version", "The version of this software."),
    "/predict": (
        "Predict one row",
        "Validated, predicted, and appended to the ledger before the answer leaves.",
    ),
    "/predict_batch": (
        "Predict many rows",
        "A JSON array of rows, or a table as CSV, Arrow stream or Parquet.",
    ),
    "/invocations": ("Predict, as MLflow and SageMaker ask", "MLflow's shapes in JSON, or CSV."),
    "/v1/models": ("Models", "Names of the models here."),
    "/v1/models/{model}": ("Model readiness", "V1 protocol."),
    "/v1/models/{model}:predict": ("Predict, V1", "KServe's V1 and Vertex AI's form."),
    "/v2": ("Server metadata", "Open Inference Protocol V2."),
    "/v2/health/live": ("Server liveness", "Open Inference Protocol V2."),
    "/v2/health/ready": ("Server readiness", "Open Inference Protocol V2."),
}


def describe(hosted: Sequence[Hosted], routes: Sequence[Route]) -> Json:
    """The document."""
    from windlass import __version__

    schemas: Json = dict(ANSWERS)
    for one in hosted:
        schemas[f"{one.name}.Row"] = row = json_schema(one.bundle.schema.row)
        schemas[f"{one.name}.Values"] = values(row)
        schemas[f"{one.name}.Prediction"] = one_answer(one.bundle.schema.target)
        schemas[f"{one.name}.Predictions"] = batch_answer(one.bundle.schema.target)
    paths: Json = {}
    for route in routes:
        owner = route.project or (hosted[0].name if len(hosted) == 1 else "")
        operation = _operation(route, owner, [one.name for one in hosted])
        paths.setdefault(route.path, {})[route.method.lower()] = operation
    names = ", ".join(one.name for one in hosted)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": f"Windlass: {names}",
            "version": __version__,
            "description": _about(hosted),
        },
        "paths": paths,
        "components": {"schemas": schemas},
    }


def _about(hosted: Sequence[Hosted]) -> str:
    return "\n".join(
        f"- **{one.name}** {one.bundle.version}: predicts `{one.bundle.schema.target.name}`"
        for one in hosted
    )


def _operation(route: Route, project: str, names: list[str]) -> Json:
    known = route.label or route.path
    summary, description = _SUMMARIES.get(known, (known.strip("/"), "Open Inference Protocol V2."))
    operation: Json = {
        "summary": summary,
        "description": description,
        "operationId": f"{route.method.lower()}{route.path}".replace("/", "_")
        .replace(":", "_")
        .replace("{", "")
        .replace("}", ""),
        "tags": [_tag(route)],
        "responses": _responses(route, known, project),
    }
    parameters = _parameters(route, known, names)
    if parameters:
        operation["parameters"] = parameters
    body = _body(known, project, [project] if route.project else names)
    if body:
        operation["requestBody"] = {"required": True, "content": body}
    return operation


def _tag(route: Route) -> str:
    for start in ("/v1", "/v2"):
        if route.path.startswith(start):
            return f"Protocol {start[1:].upper()}"
    return route.project or "Server"


def _parameters(route: Route, known: str, names: list[str]) -> list[Json]:
    found: list[Json] = []
    if "{model}" in route.path:
        found.append(
            {
                "name": "model",
                "in": "path",
                "required": True,
                "schema": {"type": "string", "enum": names},
            }
        )
    if "{version}" in route.path:
        found.append(
            {"name": "version", "in": "path", "required": True, "schema": {"type": "string"}}
        )
    if known in ("/predict", "/predict_batch"):
        described = {"type": "string", "description": "Another version than the live one."}
        found.append({"name": "version", "in": "query", "required": False, "schema": described})
    return found


def _body(known: str, project: str, projects: Sequence[str]) -> Json:
    row = {"$ref": f"#/components/schemas/{project}.Row"}
    rows = {"type": "array", "items": row, "minItems": 1}
    if known == "/predict":
        return {"application/json": {"schema": row}}
    if known == "/predict_batch":
        tables = {kind: {"schema": {"type": "string", "format": "binary"}} for kind in _TABLES}
        return {"application/json": {"schema": rows}, **tables}
    if known == "/invocations":
        return {
            "application/json": {"schema": invocations(project)},
            "text/csv": {"schema": {"type": "string"}},
        }
    if known.endswith("/infer"):
        return {"application/json": {"schema": V2_REQUEST}}
    if known.endswith(":predict"):
        return {"application/json": {"schema": instances(projects)}}
    return {}


def _responses(route: Route, known: str, project: str) -> Json:
    good: Json = {"description": "Done.", "headers": _HEADERS}
    content = _content(known, project)
    if content:
        good["content"] = content
    responses: Json = {"200": good}
    for status in _statuses(route, known):
        responses[status] = _error(known, status)
    return responses


def _content(known: str, project: str) -> Json:
    if known == "/metrics":
        return {"text/plain": {"schema": {"type": "string"}}}
    if known == "/version":
        return {"text/plain": {"schema": {"type": "string"}}}
    if known == "/ping":
        return {}
    reference = {
        "/predict": f"{project}.Prediction",
        "/predict_batch": f"{project}.Predictions",
        "/health": "Health",
        "/livez": "Health",
        "/readyz": "Health",
        "/status": "Status",
        "/invocations": "InstancePredictions",
    }.get(known)
    if reference is None:
        reference = "InstancePredictions" if known.endswith("predict") else "Any"
    if known.endswith("/infer"):
        reference = "V2Response"
    described = {"application/json": {"schema": {"$ref": f"#/components/schemas/{reference}"}}}
    if known == "/predict_batch":
        described |= {kind: {"schema": {"type": "string", "format": "binary"}} for kind in _TABLES}
    return described


def _statuses(route: Route, known: str) -> list[str]:
    if known.startswith("/v2"):
        found = ["400", "413", "503"] if route.method == "POST" else ["503"]
        return [*found, "404"] if "{" in route.path else found
    if route.method == "POST":
        return ["400", "404", "413", "415", "422", "503"]
    if known in ("/readyz", "/ping"):
        return ["503"]
    return ["404"] if "{" in route.path else []


def _error(known: str, status: str) -> Json:
    kind, name = (
        ("application/json", "V2Error")
        if known.startswith("/v2")
        else ("application/problem+json", "Problem")
    )
    if known.startswith("/v2") and status == "503":
        name = "Any"
    described: Json = {
        "description": _ERRORS[status],
        "headers": dict(_HEADERS),
        "content": {kind: {"schema": {"$ref": f"#/components/schemas/{name}"}}},
    }
    if status == "503" and not known.startswith("/v2"):
        described["headers"]["Retry-After"] = {
            "description": "Seconds.",
            "schema": {"type": "integer"},
        }
    return described
