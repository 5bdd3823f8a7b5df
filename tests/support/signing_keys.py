"""Files of keys that sign bundles."""

from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)


@dataclass(frozen=True)
class KeyFiles:
    """A private key in PEM, and its public key."""

    private: Path
    public: Path


def write_keys(
    folder: Path, key: Ed25519PrivateKey | EllipticCurvePrivateKey | None = None
) -> KeyFiles:
    """Writes a pair of keys to a new folder; of Ed25519 unless `key` is another one."""
    key = key or Ed25519PrivateKey.generate()
    files = KeyFiles(folder / "private.pem", folder / "public.pem")
    folder.mkdir()
    files.private.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    public = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    files.public.write_bytes(public)
    return files
