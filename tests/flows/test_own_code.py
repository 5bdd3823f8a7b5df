"""A pipeline with classes and functions of the project's own: its bundle serves without the project."""

import sys
from pathlib import Path

from tests.support.child_process import run
from tests.support.server import Serve
from tests.support.trained_bundles import BundleOf

from windlass.core.bundle import Bundle

LOAD = "import joblib, sys; print(joblib.load(sys.argv[1]).steps[0][0])"


def test_a_bundle_carries_the_code_of_its_pipeline(
    bundle_of: BundleOf, serve: Serve, tmp_path: Path
) -> None:
    bundle = Bundle.open(bundle_of("own"))
    assert bundle.manifest.engine.name == "native"
    assert "Area" in (bundle.manifest.engine.reason or "")
    server = serve(bundle.path, options=["--allow-pickle"])  # another process, another folder
    answer = server.client.post("/predict", json={"length": 1.4, "width": 0.2})
    assert answer.json()["prediction"] == "setosa"
    command = [sys.executable, "-c", LOAD, bundle.path / "model.joblib"]
    loaded = run(command, cwd=tmp_path, warm=True)
    assert loaded.out == "area\n", loaded.err
