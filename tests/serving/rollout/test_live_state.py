"""The file of the live version: the very same bundle is restored, or none."""

from pathlib import Path

import pytest
from tests.support.altered_bundles import copy_bundle

from windlass.core.bundle import Bundle
from windlass.errors import IntegrityError
from windlass.serving.rollout.live_state import LiveStateFile


def test_what_was_written_last_is_read(iris: Path, tmp_path: Path) -> None:
    remembered = LiveStateFile(tmp_path, "iris", "session")
    assert remembered.read() is None
    bundle = Bundle.open(iris)
    remembered.write(bundle, 1.0)
    remembered.write(bundle, 2.5)
    live = LiveStateFile(tmp_path, "iris", "session").read()
    assert live is not None
    assert (live.version, live.since) == (bundle.version, 2.5)
    assert live.bundle().digest == bundle.digest
    assert live.bundle().version == bundle.version
    assert len(list(tmp_path.iterdir())) == 1


def test_another_start_or_project_knows_nothing_of_it(iris: Path, tmp_path: Path) -> None:
    LiveStateFile(tmp_path, "iris", "session").write(Bundle.open(iris), 1.0)
    assert LiveStateFile(tmp_path, "iris", "other").read() is None
    assert LiveStateFile(tmp_path, "loan", "session").read() is None


@pytest.mark.parametrize("content", ["", "{", "[]", '{"version": "v1"}', "\x00"])
def test_a_damaged_note_is_none(tmp_path: Path, content: str) -> None:
    (tmp_path / "iris.session.live").write_text(content)
    assert LiveStateFile(tmp_path, "iris", "session").read() is None


def test_an_altered_bundle_is_not_opened(iris: Path, tmp_path: Path) -> None:
    bundle = copy_bundle(iris, tmp_path / "iris")
    remembered = LiveStateFile(tmp_path, "iris", "session")
    remembered.write(Bundle.open(bundle), 1.0)
    (bundle / "model.onnx").write_bytes(b"another")
    live = remembered.read()
    assert live is not None
    with pytest.raises(IntegrityError):
        live.bundle()


def test_a_disk_that_cannot_be_written_is_no_fault(iris: Path, tmp_path: Path) -> None:
    remembered = LiveStateFile(tmp_path / "gone", "iris", "session")
    remembered.write(Bundle.open(iris), 1.0)
    assert remembered.read() is None
