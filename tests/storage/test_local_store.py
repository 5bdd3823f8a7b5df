"""What a person reads where a disk fails."""

import errno
import os
import shutil
from pathlib import Path

import pytest

from windlass.errors import StorageError
from windlass.storage.local_store import LocalBlobStore


@pytest.mark.parametrize(
    ("code", "advice"),
    [
        (errno.ENOSPC, "Free some space"),
        (errno.EROFS, "WINDLASS_HOME"),
        (errno.EACCES, "Let this user write"),
        (errno.EIO, "Check that the disk works"),
    ],
)
def test_errors_of_the_disk_are_reported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int, advice: str
) -> None:
    def fail(source: Path, target: Path) -> None:
        raise OSError(code, os.strerror(code), str(target))

    monkeypatch.setattr(shutil, "copyfile", fail)
    with pytest.raises(StorageError, match=advice) as output:
        LocalBlobStore(tmp_path / "home").upload(tmp_path, ["model.joblib"], "incoming/a")
    assert "incoming/a/model.joblib" in str(output.value)


def test_a_file_where_the_folder_should_be(tmp_path: Path) -> None:
    (tmp_path / "home").write_text("")
    with pytest.raises(StorageError, match=f"failed at {tmp_path}/home"):
        LocalBlobStore(tmp_path / "home").upload(tmp_path, [], "incoming/a")
