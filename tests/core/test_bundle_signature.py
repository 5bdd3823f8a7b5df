"""Signatures of bundles: made by sealing, checked before a model is loaded, in a form that openssl reads."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from tests.support.child_process import run
from tests.support.services import skip_or_fail
from tests.support.signing_keys import KeyFiles, write_keys
from tests.support.small_bundles import LOAN

from windlass.core.bundle import MANIFEST, Bundle
from windlass.core.bundle_signature import (
    SIGNATURE,
    check_signing_key,
    sign_manifest,
    verify_signature,
)
from windlass.core.bundle_trust import BundleTrust
from windlass.core.hashing import sha256_file
from windlass.errors import IntegrityError, SettingsError
from windlass.settings import Settings


@pytest.fixture
def keys(tmp_path: Path) -> KeyFiles:
    """The keys of whoever seals."""
    return write_keys(tmp_path / "ours")


@pytest.fixture
def bundle(tmp_path: Path, keys: KeyFiles) -> Path:
    """A signed bundle."""
    folder = LOAN.sealed(tmp_path / "bundle")
    sign_manifest(folder, keys.private)
    return folder


def test_a_signed_bundle_is_trusted(bundle: Path, keys: KeyFiles) -> None:
    verify_signature(Bundle.open(bundle), keys.public)
    BundleTrust(verify_key=keys.public).require(Bundle.open(bundle))
    assert (
        "signature" not in (bundle / MANIFEST).read_text()
    )  # it has the digest of an unsigned one


def test_openssl_checks_the_signature(bundle: Path, keys: KeyFiles) -> None:
    if shutil.which("openssl") is None:
        skip_or_fail("openssl is not installed")
    command = [
        "openssl", "pkeyutl", "-verify", "-rawin", "-pubin", "-inkey", str(keys.public),
        "-in", str(bundle / MANIFEST), "-sigfile", str(bundle / SIGNATURE),
    ]  # fmt: skip
    assert run(command).code == 0
    with (bundle / MANIFEST).open("a") as manifest:
        manifest.write(" ")
    assert run(command).code == 1


def _replace_all(folder: Path) -> None:
    (folder / "model.joblib").write_bytes(b"other")
    manifest = json.loads((folder / MANIFEST).read_text())
    manifest["files"]["model.joblib"] = sha256_file(folder / "model.joblib")
    (folder / MANIFEST).write_text(json.dumps(manifest))


def _sign_by_other(folder: Path) -> None:
    sign_manifest(folder, write_keys(folder.parent / "theirs").private)


@pytest.mark.parametrize(
    ("alter", "reason"),
    [
        (_replace_all, "signature of bundle"),
        (_sign_by_other, "signature of bundle"),
        (lambda folder: (folder / SIGNATURE).unlink(), "not signed"),
        (lambda folder: (folder / SIGNATURE).write_bytes(b""), "signature of bundle"),
        (lambda folder: (folder / SIGNATURE).write_bytes(bytes(64)), "signature of bundle"),
    ],
)
def test_what_the_owner_of_the_key_did_not_sign_is_refused(
    bundle: Path, keys: KeyFiles, alter: Callable[[Path], None], reason: str
) -> None:
    alter(bundle)
    with pytest.raises(IntegrityError, match=reason):
        verify_signature(Bundle.open(bundle), keys.public)


def test_a_bundle_that_is_replaced_after_it_was_opened(
    bundle: Path, keys: KeyFiles, tmp_path: Path
) -> None:
    opened = Bundle.open(bundle)
    shutil.rmtree(bundle)
    sign_manifest(LOAN.sealed(bundle, accuracy=0.8), keys.private)
    with pytest.raises(IntegrityError, match="was replaced"):
        verify_signature(opened, keys.public)


def test_keys_that_cannot_be_used(bundle: Path, keys: KeyFiles, tmp_path: Path) -> None:
    curve = write_keys(tmp_path / "curve", generate_private_key(SECP256R1()))
    (tmp_path / "text.pem").write_text("no key")
    opened = Bundle.open(bundle)
    wrong_private = (keys.public, curve.private, tmp_path / "text.pem", tmp_path / "missing.pem")
    wrong_public = (keys.private, curve.public, tmp_path / "text.pem", tmp_path / "missing.pem")
    for path in wrong_private:
        with pytest.raises(SettingsError, match="WINDLASS_SIGNING_KEY names"):
            check_signing_key(path)
    for path in wrong_public:
        with pytest.raises(SettingsError, match="WINDLASS_VERIFY_KEY names"):
            verify_signature(opened, path)


def test_a_bundle_by_path_needs_its_digest_and_an_option_for_its_pickle(bundle: Path) -> None:
    opened = Bundle.open(bundle)  # its manifest says native
    with pytest.raises(SettingsError, match="--allow-pickle"):
        BundleTrust(digests=(opened.digest,)).require_of_path(opened)
    BundleTrust().require_of_path(opened, is_approved=True)
    BundleTrust((opened.digest,), allow_pickle=True).require_of_path(opened)
    for is_approved in (True, False):
        with pytest.raises(IntegrityError, match="--digest"):
            BundleTrust(("0" * 64,), allow_pickle=True).require_of_path(
                opened, is_approved=is_approved
            )


def test_settings_name_the_requirements(tmp_path: Path) -> None:
    settings = Settings.read(
        {
            "WINDLASS_DIGEST": "A" * 64,
            "WINDLASS_ALLOW_PICKLE": "on",
            "WINDLASS_VERIFY_KEY": "public.pem",
        }
    )
    assert BundleTrust.from_settings(settings) == BundleTrust(
        ("a" * 64,), allow_pickle=True, verify_key=Path("public.pem")
    )
    with pytest.raises(SettingsError, match="WINDLASS_DIGEST"):
        Settings.read({"WINDLASS_DIGEST": "a" * 12})
