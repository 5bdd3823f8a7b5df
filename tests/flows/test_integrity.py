"""No altered bundle serves, and a bundle on ONNX is never unpickled."""

import asyncio
import json
import os
import pickle
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import joblib
import pytest
from tests.support.altered_bundles import change_json, copy_bundle, reseal
from tests.support.child_process import WINDLASS, run
from tests.support.server import FLOWER, Serve, Server, environment, free_port
from tests.support.signing_keys import write_keys
from tests.support.trained_bundles import BundleOf

from windlass.app import application
from windlass.core.bundle import MANIFEST, Bundle
from windlass.core.bundle_signature import sign_manifest
from windlass.core.bundle_trust import ANY_BUNDLE, BundleTrust
from windlass.errors import BundleError, IntegrityError
from windlass.monitoring.metrics import ServerMetrics
from windlass.monitoring.shared_counters import SharedCounters
from windlass.serving.rollout.loader import ModelLoader, load_bundle
from windlass.serving.served_project import ServedProject
from windlass.settings import Settings
from windlass.web.offload import DaemonExecutor

FILES = [
    "card.md", "confusion_matrix.json", "data_checks.json", "environment.json", "golden.json", "holdout.npz",
    "metrics.json", "model.joblib", "model.onnx", "params.json", "profile.json", "schema.json",
]  # fmt: skip


@pytest.fixture
def bundle(iris: Path, tmp_path: Path) -> Path:
    return copy_bundle(iris, tmp_path / "iris")


@pytest.fixture
def opened(tmp_path: Path) -> Callable[[Path], object]:
    """Opens a bundle as a server does."""
    settings = Settings(home=tmp_path / "home")
    return lambda bundle: application(bundle, settings=settings)


def loaded(bundle: Path) -> ServedProject:
    return served(Bundle.open(bundle))


def served(opened: Bundle, trust: BundleTrust = ANY_BUNDLE) -> ServedProject:
    hosted = ServedProject(opened.manifest.project, None, ServerMetrics(SharedCounters()))
    asyncio.run(load_bundle(hosted, opened, ModelLoader(DaemonExecutor("model"), trust)))
    return hosted


def test_every_file_is_altered_by_these_tests(iris: Path) -> None:
    assert sorted(path.name for path in iris.iterdir()) == sorted([*FILES, MANIFEST])


@pytest.mark.parametrize("name", FILES)
def test_a_flipped_byte(bundle: Path, opened: Callable[[Path], object], name: str) -> None:
    content = bytearray((bundle / name).read_bytes())
    content[len(content) // 2] ^= 1
    (bundle / name).write_bytes(content)
    with pytest.raises(IntegrityError, match=f"{name} is not the file that was sealed"):
        opened(bundle)


@pytest.mark.parametrize("name", FILES)
def test_a_missing_file(bundle: Path, opened: Callable[[Path], object], name: str) -> None:
    (bundle / name).unlink()
    with pytest.raises(IntegrityError, match=f"lacks {name}"):
        opened(bundle)


@pytest.mark.parametrize("name", ["../x", "/etc/hostname", "a/b", "..", ".", "manifest.json"])
def test_a_path_that_leads_elsewhere(
    bundle: Path, opened: Callable[[Path], object], name: str
) -> None:
    (bundle.parent / "x").write_text("outside")
    change_json(bundle, MANIFEST, lambda manifest: manifest["files"].update({name: "0" * 64}))
    with pytest.raises(IntegrityError, match="not a plain file name"):
        opened(bundle)


@pytest.mark.parametrize("name", ["model.joblib", "schema.json", "golden.json"])
def test_a_manifest_without_what_is_needed(
    bundle: Path, opened: Callable[[Path], object], name: str
) -> None:
    change_json(bundle, MANIFEST, lambda manifest: manifest["files"].pop(name))
    with pytest.raises(IntegrityError, match=f"does not name {name}"):
        opened(bundle)


@pytest.mark.parametrize("content", ["", "{", "[]", "{}", '{"format": "x"}', "\x00" * 9, "null"])
def test_a_manifest_that_is_none(
    bundle: Path, opened: Callable[[Path], object], content: str
) -> None:
    (bundle / MANIFEST).write_text(content)
    with pytest.raises(IntegrityError, match=r"manifest\.json is damaged"):
        opened(bundle)


def test_a_manifest_of_another_format(bundle: Path, opened: Callable[[Path], object]) -> None:
    change_json(bundle, MANIFEST, lambda manifest: manifest.update(format=2))
    with pytest.raises(BundleError, match="is of format 2"):
        opened(bundle)


def test_a_file_altered_between_opening_and_loading(bundle: Path) -> None:
    before = Bundle.open(bundle)
    (bundle / "model.onnx").write_bytes(b"another model")
    hosted = served(before)
    assert hosted.model is None
    assert "model.onnx is not the file that was sealed" in str(hosted.reason)


def _wrong_share(examples: Any) -> None:
    examples["expected"][3]["probabilities"][0] += 2e-6


def _wrong_row(examples: Any) -> None:
    examples["rows"][3]["petal_width"] = 2.5


def _invalid_row(examples: Any) -> None:
    examples["rows"][3]["petal_width"] = 99


def _no_rows(examples: Any) -> None:
    examples["rows"].clear()
    examples["expected"].clear()


@pytest.mark.parametrize(
    ("alter", "reason"),
    [
        (_wrong_share, "Reference example 3 .* is not reproduced"),
        (_wrong_row, "Reference example 3 .* is not reproduced"),
        (_invalid_row, "do not fit its own schema"), (_no_rows, "no reference examples"),
        (dict.clear, ".+"),
    ],
)  # fmt: skip
def test_changed_reference_examples_are_refused(
    bundle: Path, alter: Callable[[Any], None], reason: str
) -> None:
    hosted = loaded(change_json(bundle, "golden.json", alter))
    assert hosted.model is None
    assert hosted.reason not in (None, "loading")
    assert re.search(reason, str(hosted.reason))


@pytest.mark.parametrize("content", [b"", b"garbage", None])
def test_a_model_that_is_none(bundle: Path, content: bytes | None) -> None:
    if content is None:
        (bundle / "model.onnx").unlink()
    else:
        (bundle / "model.onnx").write_bytes(content)
    hosted = loaded(reseal(bundle))
    assert hosted.model is None
    assert "ONNX" in str(hosted.reason) or "model.onnx" in str(hosted.reason)


def test_a_model_of_other_columns(bundle: Path, bundle_of: BundleOf) -> None:
    (bundle / "model.onnx").write_bytes((bundle_of("mixed") / "model.onnx").read_bytes())
    hosted = loaded(reseal(bundle))
    assert hosted.model is None
    assert hosted.reason


class Payload:
    """Unpickling this writes a file."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.marker),)


def test_an_onnx_bundle_is_never_unpickled(serve: Serve, bundle: Path, tmp_path: Path) -> None:
    marker = tmp_path / "code-ran"
    (bundle / "model.joblib").write_bytes(pickle.dumps(Payload(marker)))
    server: Server = serve(reseal(bundle))
    assert server.client.post("/predict", json=FLOWER).json()["prediction"] == "setosa"
    assert server.client.post("/predict_batch", json=[FLOWER] * 100).status_code == 200
    assert server.stop() == 0
    assert not marker.exists()
    joblib.load(bundle / "model.joblib")  # the payload works
    assert marker.exists()


def test_a_replaced_bundle_runs_no_code(bundle: Path, tmp_path: Path) -> None:
    """Whoever can write to the folder writes a manifest as well, and names the pickle as the engine."""
    digest = Bundle.open(bundle).digest
    marker = tmp_path / "code-ran"
    (bundle / "model.joblib").write_bytes(pickle.dumps(Payload(marker)))
    change_json(bundle, MANIFEST, lambda manifest: manifest["engine"].update(name="native"))
    reseal(bundle)
    serve = [WINDLASS, "serve", bundle, "--port", free_port()]
    score = [WINDLASS, "predict", bundle, "--input", "rows.csv", "--output", "out.csv"]
    refused = {
        "add --allow-pickle": [serve, score],
        "not the one of --digest": [[*serve, "--allow-pickle", "--digest", digest]],
    }
    for reason, commands in refused.items():
        for command in commands:
            done = run(command, env=environment(tmp_path / "home"))
            assert (done.code, reason in " ".join(done.err.split())) == (1, True), done.err
    assert not marker.exists()


def test_a_version_that_nobody_signed_is_not_loaded(bundle: Path, tmp_path: Path) -> None:
    keys = write_keys(tmp_path / "keys")
    trust = BundleTrust(verify_key=keys.public)
    reason = served(Bundle.open(bundle), trust).unready_reason
    assert reason is not None
    assert "is not signed" in reason
    sign_manifest(bundle, keys.private)
    assert served(Bundle.open(bundle), trust).unready_reason is None


def test_a_native_bundle_serves(serve: Serve, bundle_of: BundleOf, tmp_path: Path) -> None:
    native, keys = copy_bundle(bundle_of("native"), tmp_path / "native"), write_keys(tmp_path / "k")
    sign_manifest(native, keys.private)
    assert json.loads((native / MANIFEST).read_text())["engine"]["name"] == "native"
    assert not (native / "model.onnx").exists()
    digest = Bundle.open(native).digest
    options = ["--allow-pickle", "--digest", digest]
    server: Server = serve(native, options=options, WINDLASS_VERIFY_KEY=str(keys.public))
    rows = Bundle.open(native).json("golden.json")
    answer = server.client.post("/predict_batch", json=rows["rows"]).json()
    assert answer["predictions"] == [expected["label"] for expected in rows["expected"]]


def test_the_command_refuses_in_one_line(bundle: Path, tmp_path: Path) -> None:
    (bundle / "schema.json").write_text("{}")
    command = [WINDLASS, "serve", bundle, "--port", free_port()]
    done = run(command, env=environment(tmp_path / "home"))
    assert done.code == 1
    assert "schema.json is not the file that was sealed" in " ".join(done.err.split())
    assert "Traceback" not in done.err
