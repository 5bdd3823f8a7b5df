"""The OpenAPI document as others read it: generators of clients and linters."""

import json
import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.support.budget import IS_CI
from tests.support.child_process import run
from tests.support.server import Server
from tests.support.services import skip_or_fail

PACKAGES = Path(__file__).parent.parent / "support" / "openapi_clients"
INSTALL_TIMEOUT = 300.0
TOOL_TIMEOUT = 180.0


@pytest.fixture(scope="session")
def tools() -> Path:
    """The folder of the tools' commands, which are installed once, beside this Python."""
    if shutil.which("npm") is None:
        skip_or_fail("npm is not installed")
    folder = Path(sys.prefix) / "openapi_clients"
    wanted = (PACKAGES / "package.json").read_text()
    stamp = folder / ".installed"
    if not stamp.is_file() or stamp.read_text() != wanted:
        shutil.copytree(PACKAGES, folder, dirs_exist_ok=True)
        run(
            ["npm", "install", "--no-audit", "--no-fund", "--prefix", folder],
            timeout=INSTALL_TIMEOUT,
        ).check()
        stamp.write_text(wanted)
    return folder / "node_modules" / ".bin"


@pytest.fixture(params=["iris_server", "two_servers", "clients_server"])
def document(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    server: Server = request.getfixturevalue(request.param)
    path = tmp_path / "openapi.json"
    path.write_bytes(server.client.get("/openapi.json").content)
    return path


needs_ci = pytest.mark.skipif(not IS_CI, reason="Node's tools take a minute, in CI only")


@needs_ci
def test_clients_in_typescript_are_generated_and_compile(tools: Path, document: Path) -> None:
    folder = document.parent
    run(
        [tools / "openapi-typescript", document, "-o", folder / "types.ts"], timeout=TOOL_TIMEOUT
    ).check()
    plugins = ["@hey-api/typescript", "@hey-api/sdk", "@hey-api/client-fetch"]
    command = [tools / "openapi-ts", "-i", document, "-o", folder / "sdk", "-p", *plugins]
    run(command, timeout=TOOL_TIMEOUT, cwd=folder).check()
    flags = [
        "--noEmit",
        "--strict",
        "--skipLibCheck",
        "--target",
        "es2022",
        "--lib",
        "es2022,dom,dom.iterable",
    ]
    flags += ["--module", "esnext", "--moduleResolution", "bundler"]
    sources = [folder / "types.ts", folder / "sdk" / "index.ts"]
    run([tools / "tsc", *flags, *sources], timeout=TOOL_TIMEOUT).check()


@needs_ci
def test_linters_find_no_error(tools: Path, document: Path) -> None:
    quiet = os.environ | {"REDOCLY_TELEMETRY": "off", "REDOCLY_SUPPRESS_UPDATE_NOTICE": "true"}
    run(
        [tools / "redocly", "lint", document, "--extends=recommended"],
        timeout=TOOL_TIMEOUT, env=quiet, cwd=document.parent,
    ).check()  # fmt: skip
    rules = PACKAGES / "spectral.json"
    run([tools / "spectral", "lint", document, "--ruleset", rules], timeout=TOOL_TIMEOUT).check()


def nested(value: Any) -> Iterator[dict[str, Any]]:
    """Every object in a document."""
    if isinstance(value, dict):
        yield value
        value = list(value.values())
    if isinstance(value, list):
        for item in value:
            yield from nested(item)


def test_every_array_says_what_its_items_are(document: Path) -> None:
    content = json.loads(document.read_bytes())
    arrays = [each for each in nested(content) if each.get("type") == "array"]
    assert arrays
    assert [each for each in arrays if not isinstance(each.get("items"), dict)] == []
    assert [each for each in nested(content) if "prefixItems" in each] == []


def test_tags_and_security_are_described(document: Path) -> None:
    content = json.loads(document.read_bytes())
    operations = [each for path in content["paths"].values() for each in path.values()]
    described = {tag["name"] for tag in content["tags"] if tag["description"]}
    assert {tag for each in operations for tag in each["tags"]} == described
    schemes = content["components"].get("securitySchemes", {})
    assert all(scheme["description"] for scheme in schemes.values())
    assert all("security" in each for each in operations)


@pytest.mark.parametrize("path", ["/invocations", "/v1/models/{model}:predict", "/predict"])
def test_a_version_may_be_named(iris_server: Server, path: str) -> None:
    operation = iris_server.client.get("/openapi.json").json()["paths"][path]["post"]
    named = {each["name"] for each in operation["parameters"] if each["in"] == "query"}
    assert named == {"version"}
