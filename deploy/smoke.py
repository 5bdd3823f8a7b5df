#!/usr/bin/env python3
"""Asks servers that were just deployed: `smoke.py URL PROJECT… [--features URL] [--version v3]`; 1 where one is wrong.

Needs Python alone. WINDLASS_KEY is sent as the key where there is one. Every project is asked for a prediction, of the
example of the server's own API documentation; with `--version`, the answer has to come from that version, within the
time given. A project that predicts by id is asked for features too, at the URL of `--features`: the same one where a
proxy tells the services apart.
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
    """Ask every project until it answers as it should, or the time is over."""
    asked = _arguments()
    deadline = time.monotonic() + asked.seconds
    for project in asked.projects:
        while True:
            fault = _fault(asked, project)
            if not fault:
                print(f"smoke: {project} answers")
                break
            if time.monotonic() > deadline:
                print(f"smoke: {project} at {asked.url}: {fault}", file=sys.stderr)
                return 1
            time.sleep(_PAUSE)
    return 0


def _fault(asked: argparse.Namespace, project: str) -> str:
    """What is wrong with the servers' answers; "" where nothing is."""
    url = asked.url.rstrip("/")
    try:
        _called(f"{url}/readyz")
        document = _called(f"{url}/openapi.json")
        example = _example(document, project)
        answer = _called(f"{url}/{project}/predict", example)
        if _path(document, project, "predict/{id}"):
            _ask_features((asked.features or url).rstrip("/"), project)
    except (OSError, ValueError, KeyError) as error:
        return f"{type(error).__name__}: {error}"
    if "prediction" not in answer:
        return "the answer holds no prediction"
    found = answer.get("model_version")
    return "" if asked.version in (None, found) else f"{found} answers, not {asked.version}"


def _ask_features(url: str, project: str) -> None:
    """Raises what is wrong: OSError, or ValueError. Whether this entity is known does not matter."""
    try:
        results = _called(f"{url}/{project}/features", {"ids": [0]})["results"]
    except (OSError, ValueError, KeyError) as error:
        raise ValueError(f"features at {url}: {type(error).__name__}: {error}") from error
    if len(results) != 1:
        raise ValueError(f"features at {url}: {len(results)} answers about one entity")


def _path(document: Any, project: str, route: str) -> Any:
    """What the documentation says of a route; None where there is none."""
    paths = document["paths"]
    # a server of one project tells of its root
    return paths.get(f"/{project}/{route}", paths.get(f"/{route}"))


def _example(document: Any, project: str) -> Any:
    """The example of a row in the documentation."""
    route = _path(document, project, "predict")
    if route is None:
        raise KeyError(f"the documentation knows no {project}")
    return _filled(route["post"]["requestBody"]["content"]["application/json"], document)


def _filled(content: dict[str, Any], document: dict[str, Any]) -> Any:
    """The example itself, or that of the schema referred to."""
    if "example" in content:
        return content["example"]
    schema = content["schema"]
    while "$ref" in schema:
        found: Any = document
        for name in schema["$ref"].removeprefix("#/").split("/"):
            found = found[name]
        schema = found
    if "examples" in schema:
        return schema["examples"][0]
    return {
        name: field["examples"][0]
        for name, field in schema["properties"].items()
        if "examples" in field
    }


def _called(url: str, body: Any = None) -> Any:
    headers = {"Content-Type": "application/json"}
    if os.environ.get("WINDLASS_KEY"):
        headers["X-API-Key"] = os.environ["WINDLASS_KEY"]
    content = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, content, headers)
    with urllib.request.urlopen(request, timeout=10) as answer:
        return json.load(answer)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("url", help="of the server, without a path")
    parser.add_argument("projects", nargs="+", help="by name")
    parser.add_argument("--features", metavar="URL", help="of the features service (default URL)")
    parser.add_argument("--version", help="that has to answer, such as v3")
    parser.add_argument("--seconds", type=float, default=60, help="to wait for it (default 60)")
    return parser.parse_args()


if __name__ == "__main__":
    raise SystemExit(main())
