#!/usr/bin/env python3
"""Asks a server that was just deployed for predictions: `smoke.py URL PROJECT… [--version v3]`; 1 where one is wrong.

Needs Python alone. WINDLASS_KEY is sent as the key where there is one. What is asked for is the example of the
server's own API documentation; with `--version`, the answer has to come from that version, within the time given.
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
            fault = _fault(asked.url.rstrip("/"), project, asked.version)
            if not fault:
                print(f"smoke: {project} answers")
                break
            if time.monotonic() > deadline:
                print(f"smoke: {project} at {asked.url}: {fault}", file=sys.stderr)
                return 1
            time.sleep(_PAUSE)
    return 0


def _fault(url: str, project: str, version: str | None) -> str:
    """What is wrong with the server's answer; "" where nothing is."""
    try:
        _called(f"{url}/readyz")
        answer = _called(f"{url}/{project}/predict", _example(url, project))
    except (OSError, ValueError, KeyError) as error:
        return f"{type(error).__name__}: {error}"
    if "prediction" not in answer:
        return "the answer holds no prediction"
    found = answer.get("model_version")
    return "" if version in (None, found) else f"{found} answers, not {version}"


def _example(url: str, project: str) -> Any:
    """The example of a row in the documentation."""
    document = _called(f"{url}/openapi.json")
    for path in (f"/{project}/predict", "/predict"):  # a server of one project tells of its root
        if path in document["paths"]:
            content = document["paths"][path]["post"]["requestBody"]["content"]["application/json"]
            return _filled(content, document)
    raise KeyError(f"the documentation knows no {project}")


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
    parser.add_argument("--version", help="that has to answer, such as v3")
    parser.add_argument("--seconds", type=float, default=60, help="to wait for it (default 60)")
    return parser.parse_args()


if __name__ == "__main__":
    raise SystemExit(main())
