"""What an inference process imports: no training library, and no pyarrow before a table comes.

The process is the real one: `windlass serve`, told by a `sitecustomize` of the test to write down what it had
imported when it ended.
"""

import io
import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tests.support.cli_registry import register_three_versions
from tests.support.online_clients import PLAIN, PROJECT, approve_bundle, fill_store
from tests.support.paths import IRIS
from tests.support.registry_home import RegistryHome
from tests.support.server import FLOWER, LOAN, Serve, Server
from tests.support.trained_bundles import BundleOf

from windlass.registry.registry import Registry
from windlass.settings import Settings

TRAINS = {
    "alembic", "dbos", "duckdb", "imblearn", "joblib", "matplotlib", "mlflow", "narwhals", "onnx", "pandas",
    "pandera", "polars", "pyspark", "scipy", "skl2onnx", "sklearn", "sqlalchemy", "torch",
}  # fmt: skip
RECORD_IMPORTS = """
import atexit, sys

@atexit.register
def tell():
    names = sorted({name.partition(".")[0] for name in sys.modules})
    open(%r, "w").write(" ".join(names))
"""


class Spied:
    """A server that writes down its imports as it ends."""

    def __init__(self, serve: Serve, folder: Path, *bundles: Path) -> None:
        self._record = folder / "imports"
        (folder / "sitecustomize.py").write_text(RECORD_IMPORTS % str(self._record))
        self.server: Server = serve(*bundles, PYTHONPATH=str(folder))

    def imports(self) -> set[str]:
        """The top-level packages that the server had imported when it ended."""
        assert self.server.stop() == 0
        names = set(self._record.read_text().split())
        assert {"uvicorn", "onnxruntime", "windlass"} <= names
        return names


@pytest.fixture
def spied(serve: Serve, tmp_path: Path, iris: Path, bundle_of: BundleOf) -> Spied:
    return Spied(serve, tmp_path, iris, bundle_of("mixed"), bundle_of("diabetes"))


def test_json_alone_imports_neither_what_trains_nor_pyarrow(spied: Spied) -> None:
    client = spied.server.client
    for path in ("/metrics", "/openapi.json", "/docs", "/status", "/v2/models/iris"):
        assert client.get(path).status_code == 200
    assert client.post("/iris/predict", json=FLOWER).status_code == 200
    assert client.post("/mixed/predict_batch", json=[LOAN] * 1000).status_code == 200
    assert client.post("/v1/models/iris:predict", json={"instances": [FLOWER]}).status_code == 200
    assert client.post("/iris/predict", json={}).status_code == 422
    assert spied.imports() & (TRAINS | {"pyarrow", "fastapi", "hypothesis"}) == set()


def test_tables_import_nothing_that_trains(spied: Spied) -> None:
    table = pa.Table.from_pylist([LOAN])
    arrow, parquet = io.BytesIO(), io.BytesIO()
    with pa.ipc.new_stream(arrow, table.schema) as writer:
        writer.write_table(table)
    pq.write_table(table, parquet)
    csv = (
        ",".join(LOAN)
        + "\n"
        + ",".join("" if value is None else str(value) for value in LOAN.values())
    )
    bodies = {
        "text/csv": csv.encode(),
        "application/vnd.apache.arrow.stream": arrow.getvalue(),
        "application/vnd.apache.parquet": parquet.getvalue(),
        "application/json": json.dumps([LOAN]).encode(),
    }
    for kind, body in bodies.items():
        for accept in set(bodies) if kind != "application/json" else ["application/json"]:
            headers = {"content-type": kind, "accept": accept}
            answer = spied.server.client.post("/mixed/predict_batch", content=body, headers=headers)
            assert answer.status_code == 200, answer.text
            assert answer.headers["content-type"] == accept
    names = spied.imports()
    assert "pyarrow" in names
    assert names & TRAINS == set()


def test_a_server_of_the_registry_imports_nothing_that_trains(
    serve: Serve, tmp_path: Path, bundle_of: BundleOf
) -> None:
    home = tmp_path / "home"
    register_three_versions(home, bundle_of)
    registry = Registry.open(Settings(home=home))
    registry.approve("iris", "v1", actor="ana", reason="first")
    registry.close()
    (tmp_path / "sitecustomize.py").write_text(RECORD_IMPORTS % str(tmp_path / "imports"))
    server = serve(IRIS, home=home, options=["--no-worker"], PYTHONPATH=str(tmp_path))
    client = server.client
    assert client.post("/predict?version=v1", json=FLOWER).json()["model_version"] == "v1"
    answer = client.post("/train", json={"model": "rf"}, headers={"Prefer": "respond-async"})
    assert answer.status_code == 202
    for path in ("/jobs", "/versions/v1/compare/v2", "/decisions", "/openapi.json"):
        assert client.get(path).status_code == 200
    assert client.post("/versions/v2/approve", json={"reason": "second"}).status_code == 200
    assert server.stop() == 0
    names = set((tmp_path / "imports").read_text().split())
    assert names & TRAINS == {"sqlalchemy"}


@pytest.mark.parametrize("only", [[], ["--only", "features"]])
def test_features_import_nothing_that_computes_them(
    serve: Serve, tmp_path: Path, bundle_of: BundleOf, only: list[str]
) -> None:
    registry_home = RegistryHome(tmp_path / "home")
    approve_bundle(registry_home, bundle_of("clients"))
    fill_store(registry_home.settings)
    registry_home.close()
    (tmp_path / "sitecustomize.py").write_text(RECORD_IMPORTS % str(tmp_path / "imports"))
    options = ["--no-worker", *only]
    server = serve(PROJECT, home=registry_home.home, options=options, PYTHONPATH=str(tmp_path))
    client = server.client
    for path in (f"/features/{PLAIN}", "/status", "/metrics", "/openapi.json"):
        assert client.get(path).status_code == 200
    assert client.post("/features", json=[PLAIN] * 1000).status_code == 200
    if not only:
        assert client.post(f"/predict/{PLAIN}").status_code == 200
        assert client.post("/predict_by_id", json=[PLAIN] * 100).status_code == 200
    assert server.stop() == 0
    names = set((tmp_path / "imports").read_text().split())
    assert names & TRAINS == {"sqlalchemy"}
    if only:
        assert "onnxruntime" not in names


def test_a_native_bundle_imports_what_it_needs(
    serve: Serve, tmp_path: Path, bundle_of: BundleOf
) -> None:
    """Else the tests above would say nothing."""
    (tmp_path / "sitecustomize.py").write_text(RECORD_IMPORTS % str(tmp_path / "imports"))
    variables = {"PYTHONPATH": str(tmp_path), "WINDLASS_ALLOW_PICKLE": "on"}
    server = serve(bundle_of("native"), **variables)
    assert server.stop() == 0
    assert {"sklearn", "pandas", "joblib"} <= set((tmp_path / "imports").read_text().split())
