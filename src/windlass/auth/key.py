"""A key: whom it names, what it may do and how often; how one is made, and how it is recognised."""

import hashlib
import re
import secrets
from dataclasses import dataclass, field
from enum import Enum

from windlass.errors import AccessError


class Role(Enum):
    """`predict` < `train` < `approve` < `admin`."""

    PREDICT = "predict"
    TRAIN = "train"
    APPROVE = "approve"
    ADMIN = "admin"

    def reaches(self, needed: "Role") -> bool:
        """Whether a key of this role may do what `needed` asks for."""
        return _RANK[self] >= _RANK[needed]


_RANK = {role: rank for rank, role in enumerate(Role)}


PREFIX = "wl_"  # so that scanners for leaked secrets can know one
MAX_RATE = 1_000_000_000
RESERVED = frozenset({"anonymous", "policy"})  # actors of decisions that are nobody's key

_NAME = re.compile(r"[a-z0-9](?:[a-z0-9._@-]{0,61}[a-z0-9])?")


@dataclass(frozen=True)
class ApiKey:
    """A key as it is kept. `hash` is the SHA-256 of what its holder sends, in hex; times are seconds since 1970.

    `rate` is in requests a minute; None leaves it to the server. `revoked_at` is None while it is valid.
    """

    name: str
    role: Role
    hash: str = field(repr=False)
    rate: int | None
    created_at: float
    revoked_at: float | None = None


def new_secret() -> str:
    """What a holder sends: 256 random bits as base64url, behind a prefix."""
    return PREFIX + secrets.token_urlsafe(32)


def hash_of(secret: bytes) -> str:
    """How a key is kept. A fast hash is right: 256 random bits cannot be guessed, however fast one tries."""
    return hashlib.sha256(secret).hexdigest()


def is_name(name: str) -> bool:
    """Whether `name` has the form of a key's name, and is not reserved."""
    return _NAME.fullmatch(name) is not None and name not in RESERVED


def check_name(name: str) -> None:
    """Raise AccessError unless `name` may name a key: it is an actor in decisions, so it must read plainly."""
    if name in RESERVED:
        raise AccessError(
            f"A key cannot be called {name!r}, which stands for no one. Choose another name."
        )
    if not is_name(name):
        raise AccessError(
            f"{name[:80]!r} cannot name a key. Use up to 63 small letters, digits and . _ @ - between them,"
            " such as ci or ada@example.com."
        )


def check_rate(rate: int | None) -> None:
    """Raise AccessError unless `rate` is None or a number of requests a minute."""
    if rate is not None and not 1 <= rate <= MAX_RATE:
        raise AccessError(
            f"A rate of {rate} cannot be kept. Use 1 to {MAX_RATE} requests a minute, or none."
        )
