#!/usr/bin/env python3
"""Smoke test of deployed servers: `smoke.py URL PROJECT… [--features URL] [--version v3]`. Returns 1 if one fails.

Needs only Python. WINDLASS_KEY, if it is set, is sent as the key. Every project has to predict the example row of the
server's own API documentation; with `--version`, the response has to come from that version within the given time. If
a project predicts by id, its features are requested too, at the URL of `--features`; this is the same URL if a proxy
distributes requests to the two services.
"""

import argparse
import json
import os
import sys
import time
import urllib.error
import urllib.request
from typing import Any

_PAUSE = 0.5  # seconds between attempts


def main() -> int:
    """Sends requests to every project until it answers correctly, or the time is over."""
    options = _arguments()
    deadline = time.monotonic() + options.seconds
    for project in options.projects:
        while True:
            fault = _find_fault(options, project)
            if not fault:
                print(f"smoke: {project} answers")
                break
            if time.monotonic() > deadline:
                print(f"smoke: {project} at {options.url}: {fault}", file=sys.stderr)
                return 1
            time.sleep(_PAUSE)
    return 0


def _find_fault(options: argparse.Namespace, project: str) -> str:
    """Returns what is wrong with the responses; "" if nothing is."""
    url = options.url.rstrip("/")
    try:
        _request(f"{url}/readyz")
        document = _request(f"{url}/openapi.json")
        example = _example_row(document, project)
        answer = _request(f"{url}/{project}/predict", example)
        if _path(document, project, "predict/{id}"):
            _check_features((options.features or url).rstrip("/"), project)
    except (OSError, ValueError, KeyError) as error:
        return f"{type(error).__name__}: {error}"
    if "prediction" not in answer:
        return "the answer holds no prediction"
    version = answer.get("model_version")
    return "" if options.version in (None, version) else f"{version} answers, not {options.version}"


def _check_features(url: str, project: str) -> None:
    """Checks that the features service answers, whether it has the entity or not. Raises ValueError."""
    try:
        results = _request(f"{url}/{project}/features", {"ids": [0]})["results"]
    except (OSError, ValueError, KeyError) as error:
        raise ValueError(f"features at {url}: {type(error).__name__}: {error}") from error
    if len(results) != 1:
        raise ValueError(f"features at {url}: {len(results)} answers about one entity")


def _path(document: Any, project: str, route: str) -> Any:
    """Returns the documentation of a route, or None."""
    paths = document["paths"]
    # a server of one project documents the routes at its root
    return paths.get(f"/{project}/{route}", paths.get(f"/{route}"))


def _example_row(document: Any, project: str) -> Any:
    """Returns the example row of the documentation. Raises KeyError."""
    route = _path(document, project, "predict")
    if route is None:
        raise KeyError(f"the documentation has no project {project}")
    return _example(route["post"]["requestBody"]["content"]["application/json"], document)


def _example(content: dict[str, Any], document: dict[str, Any]) -> Any:
    """Returns the example of a body: its own, that of the referenced schema, or those of the schema's fields."""
    if "example" in content:
        return content["example"]
    schema = content["schema"]
    while "$ref" in schema:
        node: Any = document
        for name in schema["$ref"].removeprefix("#/").split("/"):
            node = node[name]
        schema = node
    if "examples" in schema:
        return schema["examples"][0]
    return {
        name: field["examples"][0]
        for name, field in schema["properties"].items()
        if "examples" in field
    }


def _request(url: str, body: Any = None) -> Any:
    headers = {"Content-Type": "application/json"}
    if os.environ.get("WINDLASS_KEY"):
        headers["X-API-Key"] = os.environ["WINDLASS_KEY"]
    content = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, content, headers)
    with urllib.request.urlopen(request, timeout=10) as response:
        return json.load(response)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("url", help="URL of the server, without a path")
    parser.add_argument("projects", nargs="+", help="names of the projects")
    parser.add_argument(
        "--features", metavar="URL", help="URL of the features service (default: the server's)"
    )
    parser.add_argument("--version", help="version that has to answer, such as v3")
    parser.add_argument(
        "--seconds", type=float, default=60, help="time limit in seconds (default 60)"
    )
    return parser.parse_args()


if __name__ == "__main__":
    raise SystemExit(main())
