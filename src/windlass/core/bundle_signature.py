"""Signatures of bundles: Ed25519 over the bytes of the manifest, which names the digest of every file.

`manifest.sig` holds the 64 bytes of the signature, so that `openssl pkeyutl -verify -rawin` checks it as well.
"""

from pathlib import Path
from typing import TYPE_CHECKING

from windlass.core.atomic_files import fsync_path
from windlass.core.bundle import MANIFEST, Bundle, bundle_digest
from windlass.core.error_descriptions import missing_extra
from windlass.errors import IntegrityError, SettingsError

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import (
        Ed25519PrivateKey,
        Ed25519PublicKey,
    )

SIGNATURE = "manifest.sig"
_MAKE_KEYS = (
    "`openssl genpkey -algorithm ed25519 -out private.pem` makes a private key,"
    " `openssl pkey -in private.pem -pubout -out public.pem` its public key."
)


def sign_manifest(folder: Path, private_key: Path) -> None:
    """Writes the signature of a sealed folder, durably. Raises SettingsError for a key that cannot be used."""
    signature = _read_private_key(private_key).sign((folder / MANIFEST).read_bytes())
    (folder / SIGNATURE).write_bytes(signature)
    fsync_path(folder / SIGNATURE)
    fsync_path(folder)


def verify_signature(bundle: Bundle, public_key: Path) -> None:
    """Checks that the key's owner signed a bundle.

    Raises IntegrityError where nobody did, or another key; SettingsError for a key that cannot be used.
    """
    key = _read_public_key(public_key)
    from cryptography.exceptions import InvalidSignature

    try:
        manifest = (bundle.path / MANIFEST).read_bytes()
        key.verify((bundle.path / SIGNATURE).read_bytes(), manifest)
    except FileNotFoundError:
        raise IntegrityError(
            f"Bundle {bundle.path} is not signed, and {public_key} (WINDLASS_VERIFY_KEY) is to have signed it."
            " Train it with WINDLASS_SIGNING_KEY."
        ) from None
    except InvalidSignature:
        raise IntegrityError(
            f"The signature of bundle {bundle.path} is not of {public_key} (WINDLASS_VERIFY_KEY)."
            " Do not serve it; restore the bundle that was signed."
        ) from None
    if bundle_digest(manifest) != bundle.digest:  # replaced since it was opened
        raise IntegrityError(f"Bundle {bundle.path} was replaced. Start again.")


def check_signing_key(path: Path) -> None:
    """Checks that a private key can sign. Raises SettingsError."""
    _read_private_key(path)


def _read_private_key(path: Path) -> "Ed25519PrivateKey":
    content = _read_key(path, "WINDLASS_SIGNING_KEY")
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    try:
        key = load_pem_private_key(content, password=None)
    except (ValueError, TypeError) as error:
        raise _key_error(path, "WINDLASS_SIGNING_KEY", "private") from error
    if not isinstance(key, Ed25519PrivateKey):
        raise _key_error(path, "WINDLASS_SIGNING_KEY", "private")
    return key


def _read_public_key(path: Path) -> "Ed25519PublicKey":
    content = _read_key(path, "WINDLASS_VERIFY_KEY")
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
    from cryptography.hazmat.primitives.serialization import load_pem_public_key

    try:
        key = load_pem_public_key(content)
    except ValueError as error:
        raise _key_error(path, "WINDLASS_VERIFY_KEY", "public") from error
    if not isinstance(key, Ed25519PublicKey):
        raise _key_error(path, "WINDLASS_VERIFY_KEY", "public")
    return key


def _read_key(path: Path, variable: str) -> bytes:
    """Returns the bytes of a key's file, where signatures are installed. Raises SettingsError."""
    try:
        import cryptography  # noqa: F401 - an extra
    except ImportError as error:
        raise SettingsError(
            f"{variable} cannot be used: {missing_extra(error) or error}."
        ) from error
    try:
        return path.read_bytes()
    except OSError as error:
        raise SettingsError(
            f"{variable} names {path}, which cannot be read: {error.strerror}."
        ) from error


def _key_error(path: Path, variable: str, kind: str) -> SettingsError:
    return SettingsError(
        f"{variable} names {path}, which is not an Ed25519 {kind} key in PEM. {_MAKE_KEYS}"
    )
