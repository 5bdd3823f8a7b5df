"""API keys and roles: generates secrets, hashes them, validates names and rates."""

import hashlib
import re
import secrets
from dataclasses import dataclass, field
from enum import Enum

from windlass.errors import AccessError


class Role(Enum):
    """Role of a key: `predict` < `train` < `approve` < `admin`."""

    PREDICT = "predict"
    TRAIN = "train"
    APPROVE = "approve"
    ADMIN = "admin"

    def includes(self, needed: "Role") -> bool:
        """Returns whether this role has the permissions of `needed`."""
        return _RANK[self] >= _RANK[needed]


_RANK = {role: rank for rank, role in enumerate(Role)}


KEY_PREFIX = "wl_"  # so that scanners for leaked secrets recognise one
MAX_RATE = 1_000_000_000
RESERVED_NAMES = frozenset({"anonymous", "policy"})  # actors of decisions without a key

_NAME = re.compile(r"[a-z0-9](?:[a-z0-9._@-]{0,61}[a-z0-9])?")


@dataclass(frozen=True)
class ApiKey:
    """API key as it is stored. `hash` is the SHA-256 of its secret, in hex; times are seconds since 1970.

    `rate` is in requests a minute; None means the server's default. `revoked_at` is None while it is valid.
    """

    name: str
    role: Role
    hash: str = field(repr=False)
    rate: int | None
    created_at: float
    revoked_at: float | None = None


def new_secret() -> str:
    """Generates a secret: a prefix and 256 random bits as base64url."""
    return KEY_PREFIX + secrets.token_urlsafe(32)


def hash_secret(secret: bytes) -> str:
    """Hashes a secret for storage.

    A fast hash is enough: nobody can guess 256 random bits.
    """
    return hashlib.sha256(secret).hexdigest()


def is_key_name(name: str) -> bool:
    """Returns whether `name` has the form of a key's name, and is not reserved."""
    return _NAME.fullmatch(name) is not None and name not in RESERVED_NAMES


def check_name(name: str) -> None:
    """Raises AccessError unless `name` may name a key: it is the actor of decisions, so it must be plain text."""
    if name in RESERVED_NAMES:
        raise AccessError(
            f"A key cannot be called {name!r}, which is reserved. Choose another name."
        )
    if not is_key_name(name):
        raise AccessError(
            f"{name[:80]!r} cannot name a key. Use up to 63 small letters, digits and . _ @ - between them,"
            " such as ci or ada@example.com."
        )


def check_rate(rate: int | None) -> None:
    """Raises AccessError unless `rate` is None or 1 to MAX_RATE requests a minute."""
    if rate is not None and not 1 <= rate <= MAX_RATE:
        raise AccessError(
            f"A rate of {rate} is not allowed. Use 1 to {MAX_RATE} requests a minute, or none."
        )
