"""`windlass.Client` and `windlass.AsyncClient` against real servers."""

import asyncio
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from tests.support.child_process import run_python
from tests.support.server import FLOWER, LOAN, Serve, Server

import windlass
from windlass.client.client import Client
from windlass.errors import (
    ClientError,
    NotFoundError,
    ServerUnreachableError,
    UnprocessableError,
)

IMPORTS = """
import sys, windlass
client = windlass.Client("http://127.0.0.1:9", "secret")
heavy = {"pandas", "pyarrow", "numpy", "sklearn", "onnxruntime", "sqlalchemy", "polars"}
print(*sorted(heavy & sys.modules.keys()))
"""


@pytest.fixture
def client(iris_server: Server) -> Any:
    with windlass.Client(iris_server.url) as client:
        yield client


def test_one_row(client: Client, iris_server: Server, iris: Path) -> None:
    answer = client.predict(FLOWER)
    assert answer.prediction == "setosa"
    assert answer.model_version == windlass.load(iris).version
    assert answer.class_probabilities == windlass.load(iris).predict_proba(FLOWER)
    assert answer.prediction_id
    with pytest.raises(UnprocessableError) as caught:
        client.predict({**FLOWER, "sepal_width": -1})
    assert caught.value.errors[0]["loc"] == ["sepal_width"]
    with pytest.raises(windlass.WindlassError, match="finite"):
        client.predict({**FLOWER, "sepal_width": float("inf")})


def test_many_rows_in_every_form(mixed_server: Server, tmp_path: Path) -> None:
    rows = [LOAN, {**LOAN, "age": 60, "opened": None}, {**LOAN, "income": 1.0, "city": "Ulm"}]
    wanted = mixed_server.client.post("/predict_batch", json=rows).json()
    csv, parquet = tmp_path / "rows.csv", tmp_path / "rows.parquet"
    frame = pd.DataFrame(rows)
    frame.to_csv(csv, index=False)
    frame.to_parquet(parquet)
    with windlass.Client(mixed_server.url) as client:
        for form in (
            rows,
            frame,
            csv,
            str(parquet),
            rows[:1] + [{**row, "age": 60} for row in rows[1:]],
        ):
            answer = client.predict_batch(form)
            assert len(answer) == 3
        for form in (rows, frame, csv, parquet):
            answer = client.predict_batch(form)
            assert answer.predictions == wanted["predictions"]
            assert answer.class_probabilities == wanted["class_probabilities"]
        with pytest.raises(UnprocessableError) as caught:
            client.predict_batch(frame.assign(age=[30, 5, 200]))
    assert [fault["loc"] for fault in caught.value.errors] == [[1, "age"], [2, "age"]]


def test_rows_are_cut_below_the_limit_of_the_server(serve: Serve, iris: Path) -> None:
    server = serve(iris, WINDLASS_MAX_BODY_MB="0.01")
    frame = pd.DataFrame([FLOWER] * 2000).assign(sepal_width=[3 + i / 1000 for i in range(2000)])
    with windlass.Client(server.url) as client:
        answer = client.predict_batch(frame)
    model = windlass.load(iris)
    assert (
        answer.to_pandas()["probability_setosa"].tolist()
        == model.predict_proba(frame)["setosa"].tolist()
    )
    assert len(answer.prediction_ids) > 4


def test_an_event_loop_awaits_many_at_once(iris_server: Server) -> None:
    async def main() -> None:
        async with windlass.AsyncClient(iris_server.url) as client:
            answers = await asyncio.gather(*(client.predict(FLOWER) for _ in range(20)))
            assert [answer.prediction for answer in answers] == ["setosa"] * 20
            assert (await client.predict_batch([FLOWER] * 3)).predictions == ["setosa"] * 3
            assert (await client.status())["project"] == "iris"
            with pytest.raises(UnprocessableError):
                await client.predict({})
            with pytest.raises(NotFoundError):
                await client.features(1)

    asyncio.run(main())


def test_no_text_shows_the_key_and_nothing_heavy_is_imported() -> None:
    client = windlass.Client("https://ana:pass@example.com/churn", "wl_secret", project=None)
    assert repr(client) == "Client('https://example.com/churn', key='***')"
    assert "secret" not in repr(vars(client)).replace("windlass", "")
    assert run_python(IMPORTS).strip() == ""


def test_a_server_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ServerUnreachableError, match="no connection to http://127"):
        windlass.Client("http://ana:pass@127.0.0.1:9", retries=0).status()
    for url in ("example.com", "ftp://example.com", "http://", "http://[::1"):
        with pytest.raises(ClientError, match="not the URL"):
            windlass.Client(url)
    with pytest.raises(ClientError, match="key"):
        windlass.Client("http://example.com", "two words\n")
    with pytest.raises(ClientError, match="options"):
        windlass.Client("http://example.com", nonsense=1)


def test_both_clients_have_the_same_methods() -> None:
    public = {name for name in vars(windlass.Client) if not name.startswith("_")}
    awaited = {name for name in vars(windlass.AsyncClient) if not name.startswith("_")}
    assert public - {"close"} == awaited - {"aclose"}
