"""Requests and answers of the Open Inference Protocol V2, for tests of its routes on a server of Iris."""

from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.support.server import FLOWER, OTHER_FLOWER, Server

from windlass.core.bundle import Bundle

BOTH = [FLOWER, OTHER_FLOWER]
INFER = "/v2/models/iris/infer"


def matrix(*shape: int, nested: bool = False, datatype: str = "FP64") -> dict[str, Any]:
    """Returns one tensor of every row."""
    rows = [list(row.values()) for row in BOTH]
    data: list[Any] = rows if nested else [value for row in rows for value in row]
    return {"name": "flowers", "shape": list(shape or (2, 4)), "datatype": datatype, "data": data}


def error(answer: httpx.Response, status: int = 400) -> str:
    """Returns the text of an error, with its shape checked."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/json"
    body = answer.json()
    assert list(body) == ["error"]
    assert isinstance(body["error"], str)
    return str(body["error"])


@pytest.fixture(scope="module")
def version(iris: Path) -> str:
    """Returns the version of Iris that is served."""
    return Bundle.open(iris).version


@pytest.fixture(scope="module")
def expected(iris_server: Server) -> dict[str, Any]:
    """Returns what `/predict_batch` answers for the same rows."""
    body: dict[str, Any] = iris_server.client.post("/predict_batch", json=BOTH).json()
    return body
