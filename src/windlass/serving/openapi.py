"""The OpenAPI 3.1 description of every route: rows, units, ranges and every error, as they are."""

import re
from collections.abc import Sequence
from typing import Any

from windlass.core.json_schema import json_schema
from windlass.serving.model import Hosted
from windlass.serving.openapi_schemas import ANSWERS, batch_answer, one_answer, values
from windlass.serving.operations import BINARY, OPERATIONS, TABLES, Operation
from windlass.serving.routing import Route

Json = dict[str, Any]

_ERRORS = {
    "400": "The body is not valid JSON, or not what its content type says.",
    "404": "There is no such version or model.",
    "406": "`Accept` names no form that this route answers in.",
    "413": "The body is over the limit.",
    "415": "The body is of a type that this route does not read.",
    "422": "The input does not fit the declared row; `errors` names each field.",
    "503": "The project is not ready, or the ledger cannot be written. Try again after `Retry-After`.",
}
_HEADERS: Json = {
    "X-Request-ID": {"description": "The caller's id, or a new one.", "schema": {"type": "string"}},
    "Server-Timing": {"description": "Milliseconds by phase.", "schema": {"type": "string"}},
}
_RETRY: Json = {"Retry-After": {"description": "Seconds.", "schema": {"type": "integer"}}}


def describe(hosted: Sequence[Hosted], routes: Sequence[Route]) -> Json:
    """The document."""
    from windlass import __version__

    schemas: Json = dict(ANSWERS)
    for one in hosted:
        schemas[f"{one.name}.Row"] = row = json_schema(one.bundle.schema.row)
        schemas[f"{one.name}.Values"] = values(row)
        schemas[f"{one.name}.Prediction"] = one_answer(one.bundle.schema.target)
        schemas[f"{one.name}.Predictions"] = batch_answer(one.bundle.schema.target)
    names = [one.name for one in hosted]
    paths: Json = {}
    for route in routes:
        paths.setdefault(route.path, {})[route.method.lower()] = _operation(route, names)
    about = "\n".join(
        f"- **{one.name}** {one.bundle.version}: predicts `{one.bundle.schema.target.name}`"
        for one in hosted
    )
    title = f"Windlass: {', '.join(names)}"
    return {
        "openapi": "3.1.0",
        "info": {"title": title, "version": __version__, "description": about},
        "paths": paths,
        "components": {"schemas": schemas},
    }


def _operation(route: Route, names: Sequence[str]) -> Json:
    operation = OPERATIONS[route.label or route.path]
    projects = [route.project] if route.project else names
    described: Json = {
        "summary": operation.summary,
        "description": operation.description,
        "operationId": re.sub(r"\W+", "_", f"{route.method.lower()}{route.path}"),
        "tags": [
            f"Protocol {operation.protocol}" if operation.protocol else route.project or "Server"
        ],
        "responses": {
            "200": _good(operation, projects),
            **{status: _error(operation, status) for status in operation.errors},
        },
    }
    parameters = _parameters(route, operation, names)
    if parameters:
        described["parameters"] = parameters
    if operation.body is not None:
        described["requestBody"] = {"required": True, "content": operation.body(projects)}
    return described


def _parameters(route: Route, operation: Operation, names: Sequence[str]) -> list[Json]:
    text: Json = {"type": "string"}
    found = []
    if "{model}" in route.path:
        kind = {**text, "enum": list(names)}
        found.append({"name": "model", "in": "path", "required": True, "schema": kind})
    if "{version}" in route.path:
        found.append({"name": "version", "in": "path", "required": True, "schema": text})
    if operation.versioned:
        kind = {**text, "description": "Another version than the live one."}
        found.append({"name": "version", "in": "query", "required": False, "schema": kind})
    return found


def _good(operation: Operation, projects: Sequence[str]) -> Json:
    described: Json = {"description": "Done.", "headers": _HEADERS}
    if operation.answer:
        name = operation.answer.format(projects[0])
        content: Json = {operation.media: {"schema": {"$ref": f"#/components/schemas/{name}"}}}
        if operation.tables:
            content |= dict.fromkeys(TABLES, BINARY)
        described["content"] = content
    return described


def _error(operation: Operation, status: str) -> Json:
    kind, name, headers = "application/problem+json", "Problem", _HEADERS
    if operation.protocol == "V2":
        kind, name = "application/json", "Any" if status == "503" else "V2Error"
    elif status == "503":
        headers = _HEADERS | _RETRY
    return {
        "description": _ERRORS[status],
        "headers": headers,
        "content": {kind: {"schema": {"$ref": f"#/components/schemas/{name}"}}},
    }
