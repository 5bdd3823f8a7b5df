"""What a person reads where an object store cannot be used."""

import socket
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from obstore.store import S3Store
from tests.support.server import free_port

from windlass.errors import SettingsError, StorageError
from windlass.settings import Settings
from windlass.storage.blob_store import open_blob_store
from windlass.storage.object_store import open_store

FORMS = [
    "s3://",
    "ftp://bucket/x",
    "s3:/bucket",
    "bucket",
    "s3://bucket/x?region=y",
    "https://bucket.s3.amazonaws.com/x",
]


@pytest.mark.parametrize("url", FORMS)
def test_urls_that_cannot_be_used(url: str) -> None:
    with pytest.raises(SettingsError, match=r"WINDLASS_STORE_URL.*Use s3://BUCKET/FOLDER"):
        open_blob_store(Settings(store_url=url))


def test_keys_do_not_belong_in_the_url() -> None:
    with pytest.raises(SettingsError, match="holds a key") as output:
        open_blob_store(Settings(store_url="s3://name:s3cret@bucket/x"))
    assert "s3cret" not in str(output.value)


def test_a_missing_bucket_is_reported(s3_url: str, tmp_path: Path) -> None:
    blobs = open_blob_store(replace(Settings.read(), store_url="s3://no-such-bucket/team"))
    (tmp_path / "manifest.json").write_text("{}")
    for ask in (
        lambda: blobs.folders("models"),
        lambda: blobs.upload(tmp_path, ["manifest.json"], "models/loan/v1"),
        lambda: blobs.move("incoming/a", "models/loan/v1"),
        lambda: blobs.remove("models/loan/v1"),
    ):
        with pytest.raises(
            StorageError, match=r"s3://no-such-bucket/team cannot be .*AWS_"
        ) as output:
            ask()
        assert "<" not in str(output.value)


def test_a_store_that_is_away_is_reported(s3_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{free_port()}")
    blobs = open_blob_store(replace(Settings.read(), store_url=s3_url))
    with pytest.raises(StorageError, match="cannot be read"):
        blobs.folders("models")


def test_a_store_that_never_answers_is_reported(
    s3_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{silent.getsockname()[1]}")
        blobs = open_store(s3_url, plain_http=True, read_timeout=timedelta(seconds=1))
        with pytest.raises(StorageError, match="cannot be read"):
            blobs.read("models/loan/v1", "manifest.json")


def test_secrets_go_over_plain_http_only_with_a_setting(
    s3_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://store.internal.invalid:9000")
    with pytest.raises(StorageError, match="plain HTTP is spoken to this machine only"):
        open_blob_store(replace(Settings.read(), store_url=s3_url)).folders("models")
    monkeypatch.setenv("AWS_ALLOW_HTTP", "true")
    with pytest.raises(StorageError, match="error sending request"):
        open_blob_store(replace(Settings.read(), store_url=s3_url)).folders("models")


def test_a_move_that_is_cut_short_leaves_no_manifest(
    s3_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    blobs = open_blob_store(replace(Settings.read(), store_url=s3_url))
    names = ["golden.json", "manifest.json", "model.joblib", "schema.json"]
    for name in names:
        (tmp_path / name).write_text("{}")
    blobs.upload(tmp_path, names, "incoming/a")
    copy = S3Store.copy
    copied: list[str] = []

    def fail_at_last(self: S3Store, from_: str, to: str, *, overwrite: bool = True) -> None:
        if len(copied) == len(names) - 1:
            raise OSError("cut short")
        copied.append(to)
        copy(self, from_, to, overwrite=overwrite)

    monkeypatch.setattr(S3Store, "copy", fail_at_last)
    with pytest.raises(StorageError, match="cut short"):
        blobs.move("incoming/a", "models/loan/v1")
    assert blobs.read("models/loan/v1", "manifest.json") is None
    assert blobs.read("incoming/a", "manifest.json") is not None
