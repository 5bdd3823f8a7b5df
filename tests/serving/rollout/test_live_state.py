"""The file of the live version: the very same bundle is restored, or none."""

from pathlib import Path

import pytest
from tests.support.altered_bundles import copy_bundle

from windlass.core.bundle import Bundle
from windlass.errors import IntegrityError
from windlass.serving.rollout.live_state import LiveStateFile


def test_the_last_written_state_is_read(iris: Path, tmp_path: Path) -> None:
    state_file = LiveStateFile(tmp_path, "iris", "session")
    assert state_file.read() is None
    bundle = Bundle.open(iris)
    state_file.write(bundle, 1.0)
    state_file.write(bundle, 2.5)
    live = LiveStateFile(tmp_path, "iris", "session").read()
    assert live is not None
    assert (live.version, live.since) == (bundle.version, 2.5)
    assert live.bundle().digest == bundle.digest
    assert live.bundle().version == bundle.version
    assert len(list(tmp_path.iterdir())) == 1


def test_another_start_or_project_reads_nothing(iris: Path, tmp_path: Path) -> None:
    LiveStateFile(tmp_path, "iris", "session").write(Bundle.open(iris), 1.0)
    assert LiveStateFile(tmp_path, "iris", "other").read() is None
    assert LiveStateFile(tmp_path, "loan", "session").read() is None


@pytest.mark.parametrize("content", ["", "{", "[]", '{"version": "v1"}', "\x00"])
def test_a_damaged_state_is_none(tmp_path: Path, content: str) -> None:
    (tmp_path / "iris.session.live").write_text(content)
    assert LiveStateFile(tmp_path, "iris", "session").read() is None


def test_an_altered_bundle_is_not_opened(iris: Path, tmp_path: Path) -> None:
    bundle = copy_bundle(iris, tmp_path / "iris")
    state_file = LiveStateFile(tmp_path, "iris", "session")
    state_file.write(Bundle.open(bundle), 1.0)
    (bundle / "model.onnx").write_bytes(b"another")
    live = state_file.read()
    assert live is not None
    with pytest.raises(IntegrityError):
        live.bundle()


def test_a_disk_that_cannot_be_written_is_no_fault(iris: Path, tmp_path: Path) -> None:
    state_file = LiveStateFile(tmp_path / "gone", "iris", "session")
    state_file.write(Bundle.open(iris), 1.0)
    assert state_file.read() is None
