"""`examples/iris/serve.py` under plain uvicorn, as its brief asks."""

import json
import shutil
import sys
from pathlib import Path

from tests.support.altered_bundles import copy_bundle
from tests.support.paths import ROOT
from tests.support.server import FLOWER, Server, free_port


def test_uvicorn_serves_the_example(iris: Path, tmp_path: Path) -> None:
    folder = tmp_path / "example"
    folder.mkdir()
    shutil.copy(ROOT / "examples" / "iris" / "serve.py", folder)
    copy_bundle(iris, folder / "artifacts")
    port = free_port()
    command = [
        sys.executable,
        "-m",
        "uvicorn",
        "serve:app",
        "--host",
        "127.0.0.1",
        "--port",
        str(port),
    ]
    server = Server(command, port, tmp_path / "home", {}, folder)
    try:
        server.wait()
        answer = server.client.post("/predict", json=FLOWER)
        assert answer.json()["predicted_label"] == "setosa"
        assert answer.headers["x-request-id"] == answer.json()["prediction_id"]
        assert server.client.post("/predict", json={}).status_code == 422
        assert server.client.get("/health").json() == {"status": "ok"}
        assert server.client.get("/docs").status_code == 200
    finally:
        server.stop()
    assert (tmp_path / "home" / "ledger" / "iris").is_dir()
    ours = [json.loads(line) for line in server.log.read_text().splitlines() if line[0] == "{"]
    statuses = [line["status"] for line in ours if line["event"] == "request"]
    assert statuses[-4:] == [200, 422, 200, 200]
