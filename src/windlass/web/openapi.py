"""Builds the OpenAPI 3.1 document from the sections of serving and control."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from windlass._version import __version__
from windlass.web.routing import Route

Json = dict[str, Any]
# the name of a schema as in `answer`, or a function from the projects of a route to the content
Body = str | Callable[[Sequence[str]], Json]

BINARY: Json = {"schema": {"type": "string", "format": "binary"}}


def reference(name: str) -> Json:
    """Returns a reference to the component schema of this name."""
    return {"$ref": f"#/components/schemas/{name}"}


def json_content(schema: Json) -> Json:
    """Returns the content of a JSON body."""
    return {"application/json": {"schema": schema}}


@dataclass(frozen=True)
class Operation:
    """A route in words. `answer` names a schema, "" for none; `{}` in it stands for the project."""

    summary: str
    description: str
    answer: str = "Any"
    media: str = "application/json"
    errors: Sequence[str] = ()
    body: Body | None = None
    tables: Sequence[str] = ()  # media types of tables that it answers too
    # optional parameters and request headers: a schema, or the description of a text
    query: Mapping[str, str | Json] = field(default_factory=dict)
    headers: Mapping[str, str | Json] = field(default_factory=dict)
    # path parameters that are not any text: a schema, or the name of one, where `{}` stands for the project
    path: Mapping[str, str | Json] = field(default_factory=dict)
    tells: Mapping[str, Mapping[str, str]] = field(default_factory=dict)  # headers by good status
    also: Mapping[str, str] = field(default_factory=dict)  # other good statuses, and their schemas
    protocol: str = ""  # whose errors are its own


@dataclass(frozen=True)
class OpenApiSection:
    """The operations of one package by route, and the schemas they name.

    A route goes by its label, or by method and label where several have one: `DELETE /jobs/{job}`.
    """

    operations: Mapping[str, Operation]
    schemas: Callable[[], Json]


_ERRORS = {
    "400": "The body is not valid JSON, or not what its content type says.",
    "401": "No key, or one that is not known. Send it as `X-API-Key` or `Authorization: Bearer`.",
    "403": "The key's role does not allow this route.",
    "404": "There is nothing of this name.",
    "406": "`Accept` names no form that this route answers in.",
    "409": "Not possible in the current state; the detail says why.",
    "413": "The body is over the limit.",
    "415": "The body is of a type that this route does not read.",
    "422": "The input does not fit what is declared; `errors` names each field.",
    "429": "Too many requests. Try again after `Retry-After`.",
    "503": "Not ready, or something it needs is unavailable. Try again after `Retry-After`.",
}
_GOOD = {
    "200": "Done.",
    "202": "Accepted; the work goes on.",
    "204": "No content: the stream has ended.",
}
_HEADERS: Json = {
    "X-Request-ID": {"description": "The caller's id, or a new one.", "schema": {"type": "string"}},
    "Server-Timing": {"description": "Milliseconds by phase.", "schema": {"type": "string"}},
}
_RETRY: Json = {"Retry-After": {"description": "Seconds.", "schema": {"type": "integer"}}}
_SCHEMES: Json = {
    "key": {
        "type": "apiKey",
        "in": "header",
        "name": "X-API-Key",
        "description": "An API key, as `windlass keys create` shows it once.",
    },
    "bearer": {
        "type": "http",
        "scheme": "bearer",
        "description": "The same key, as `Authorization: Bearer KEY`.",
    },
}
_SERVER_TAG = "Server"


@dataclass(frozen=True)
class OpenApiDocument:
    """Content of the document: the projects, the sections, and whether API keys are required."""

    names: Sequence[str]
    about: str
    sections: Sequence[OpenApiSection]
    secured: bool = False

    @property
    def operations(self) -> Mapping[str, Operation]:
        """Every operation, by the label of its route."""
        return {
            label: operation
            for section in self.sections
            for label, operation in section.operations.items()
        }


def describe(document: OpenApiDocument, routes: Sequence[Route]) -> Json:
    """The document."""
    operations, paths = document.operations, dict[str, Any]()
    for route in routes:
        label = route.label or route.path
        operation = operations.get(f"{route.method} {label}") or operations[label]
        described = _operation(route, operation, document)
        paths.setdefault(route.path, {})[route.method.lower()] = described
    tags = {operation["tags"][0] for path in paths.values() for operation in path.values()}
    components: Json = {"schemas": _schemas(document)}
    if document.secured:
        components["securitySchemes"] = _SCHEMES
    title = f"Windlass: {', '.join(document.names)}"
    return {
        "openapi": "3.1.0",
        "info": {
            "title": title,
            "version": __version__,
            "description": document.about,
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
            "contact": {"name": "The operator of this server"},
        },
        "servers": [{"url": "/", "description": "This server"}],
        "tags": [{"name": tag, "description": _about_tag(tag)} for tag in sorted(tags)],
        "paths": paths,
        "components": components,
    }


def _tag(route: Route, operation: Operation) -> str:
    if operation.protocol:
        return f"Protocol {operation.protocol}"
    return route.project or _SERVER_TAG


def _about_tag(tag: str) -> str:
    if tag == _SERVER_TAG:
        return "The server itself: health, status, metrics."
    if tag.startswith("Protocol "):
        return f"Routes of the protocol {tag.removeprefix('Protocol ')}."
    return f"The project {tag}."


def _schemas(document: OpenApiDocument) -> Json:
    from windlass.web.openapi_models import Problem, component_schemas

    schemas: Json = {"Any": {"type": "object"}, "Text": {"type": "string"}}
    schemas |= component_schemas([Problem])
    for section in document.sections:
        schemas |= section.schemas()
    return schemas


def _operation(route: Route, operation: Operation, document: OpenApiDocument) -> Json:
    projects = [route.project] if route.project else list(document.names)
    guarded = document.secured and route.role is not None
    errors = {*operation.errors, *(("401", "403", "429") if guarded else ())}
    described: Json = {
        "summary": operation.summary,
        "description": operation.description,
        "operationId": re.sub(r"\W+", "_", f"{route.method.lower()}{route.path}"),
        "tags": [_tag(route, operation)],
        "responses": {
            "200": _success_response(operation, "200", projects),
            **{status: _success_response(operation, status, projects) for status in operation.also},
            **{status: _error_response(operation, status) for status in sorted(errors)},
        },
    }
    described["security"] = [{name: []} for name in _SCHEMES] if guarded else []
    parameters = _parameters(route, operation, document.names, projects)
    if parameters:
        described["parameters"] = parameters
    if operation.body is not None:
        described["requestBody"] = {"required": True, "content": _content(operation.body, projects)}
    return described


def _content(body: Body, projects: Sequence[str]) -> Json:
    if isinstance(body, str):
        return json_content(reference(body.format(projects[0])))
    return body(projects)


def _parameters(
    route: Route, operation: Operation, names: Sequence[str], projects: Sequence[str]
) -> list[Json]:
    parameters: list[Json] = []
    for name in re.findall(r"\{(\w+)\}", route.path):
        declared = operation.path.get(name, {"type": "string"})
        schema: Json = (
            reference(declared.format(projects[0])) if isinstance(declared, str) else dict(declared)
        )
        if name == "model":
            schema["enum"] = list(names)
        parameters.append({"name": name, "in": "path", "required": True, "schema": schema})
    for location, texts in (("query", operation.query), ("header", operation.headers)):
        for name, description in texts.items():
            schema = (
                {"type": "string", "description": description}
                if isinstance(description, str)
                else description
            )
            parameters.append({"name": name, "in": location, "required": False, "schema": schema})
    return parameters


def _success_response(operation: Operation, status: str, projects: Sequence[str]) -> Json:
    answer = operation.also.get(status, operation.answer if status == "200" else "")
    extra = {name: {"description": text, "schema": {"type": "string"}}
            for name, text in operation.tells.get(status, {}).items()}  # fmt: skip
    described: Json = {"description": _GOOD[status], "headers": _HEADERS | extra}
    if answer:
        name = answer.format(projects[0] if projects else "")
        content: Json = {operation.media: {"schema": reference(name)}}
        described["content"] = content | dict.fromkeys(operation.tables, BINARY)
    return described


def _error_response(operation: Operation, status: str) -> Json:
    kind, name, headers = "application/problem+json", "Problem", _HEADERS
    if operation.protocol == "V2" and status not in ("401", "403", "429"):
        kind, name = "application/json", "Any" if status == "503" else "V2Error"
    elif status in ("429", "503"):
        headers = _HEADERS | _RETRY
    return {
        "description": _ERRORS[status],
        "headers": headers,
        "content": {kind: {"schema": reference(name)}},
    }
