"""What a key is made of: enough randomness, a name that reads plainly, a role that reaches."""

import base64
import hashlib

import pytest

from windlass.auth.key import (
    ApiKey,
    Role,
    check_name,
    check_rate,
    hash_secret,
    is_key_name,
    new_secret,
)
from windlass.errors import AccessError


def test_a_secret_is_256_bits_behind_a_prefix() -> None:
    created = {new_secret() for _ in range(1000)}
    assert len(created) == 1000
    for secret in created:
        assert secret.startswith("wl_")
        assert len(secret) == 46
        assert len(base64.urlsafe_b64decode(secret[3:] + "=")) == 32


def test_what_is_kept_is_its_sha_256_and_no_repr_shows_it() -> None:
    secret = new_secret()
    stored = hash_secret(secret.encode())
    assert stored == hashlib.sha256(secret.encode()).hexdigest()
    assert stored not in repr(ApiKey("ci", Role.TRAIN, stored, None, 0.0))


@pytest.mark.parametrize("name", ["ci", "a", "ada@example.com", "team-1_x.y", "0", "x" * 63])
def test_names(name: str) -> None:
    check_name(name)
    assert is_key_name(name)


@pytest.mark.parametrize(
    "name",
    ["", " ", "Ci", "a b", "-a", "a-", "a\n", "a\nb", "ä", "x" * 64, "policy", "anonymous", "a:b",
     "a,b", "../a", "<b>"],
)  # fmt: skip
def test_what_is_no_name(name: str) -> None:
    assert not is_key_name(name)
    with pytest.raises(AccessError) as caught:
        check_name(name)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("rate", [0, -1, 1_000_000_001])
def test_what_is_no_rate(rate: int) -> None:
    check_rate(None)
    check_rate(1)
    with pytest.raises(AccessError, match=str(rate)):
        check_rate(rate)


def test_each_role_reaches_those_before_it() -> None:
    roles = list(Role)
    assert [role.value for role in roles] == ["predict", "train", "approve", "admin"]
    for rank, role in enumerate(roles):
        assert [role.includes(other) for other in roles] == [at <= rank for at in range(4)]
