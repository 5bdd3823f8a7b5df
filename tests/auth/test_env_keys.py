"""Keys of the environment: read as they stand, the weak ones refused, and never printed."""

import random
import traceback
from base64 import urlsafe_b64encode

import pytest

from windlass.auth.env_keys import find_weakness, parse_environment_keys
from windlass.auth.key import Role, hash_secret
from windlass.errors import SettingsError

GOOD = "Zq3vJx9LmT7wRb2NcY5hKd8PfG4sAe6U"
OTHER = "f3a9c1e07b5d2846a1c3e5f708192b4d6c8e0f21"


def test_entries_are_read() -> None:
    results = parse_environment_keys(f" ci:predict:{GOOD} , ops:admin:{OTHER}:600,")
    ci, ops = results.values()
    assert list(results) == [hash_secret(GOOD.encode()), hash_secret(OTHER.encode())]
    assert (ci.name, ci.role, ci.rate) == ("ci", Role.PREDICT, None)
    assert (ops.name, ops.role, ops.rate) == ("ops", Role.ADMIN, 600)


@pytest.mark.parametrize("text", ["", ",", " , "])
def test_no_entries_are_no_keys(text: str) -> None:
    assert parse_environment_keys(text) == {}


@pytest.mark.parametrize(
    ("entry", "reason"),
    [
        (GOOD, "is not name:role:key"),
        (f"ci:{GOOD}", "is not name:role:key"),
        (f"ci:root:{GOOD}", "is not name:role:key"),
        (f"ci:predict:{GOOD}:1:2", "is not name:role:key"),
        (f"Ci:predict:{GOOD}", "has a name that cannot be used"),
        (f"policy:predict:{GOOD}", "has a name that cannot be used"),
        (f":predict:{GOOD}", "has a name that cannot be used"),
        (f"ci:predict:{GOOD}:0", "has a rate"),
        (f"ci:predict:{GOOD}:fast", "has a rate"),
        (f"ci:predict:{GOOD}:", "has a rate"),
        ("ci:predict:", "is shorter than 32 characters"),
        (f"ci:predict:{GOOD[:31]}", "is shorter than 32 characters"),
        (f"ci:predict:{GOOD * 17}", "is longer than 512 characters"),
        (f"ci:predict:{GOOD} x", "holds other characters"),
        (f"ci:predict:{GOOD}ä", "holds other characters"),
        (f"ci:predict:{GOOD}\r\nx", "holds other characters"),
    ],
)
def test_an_invalid_entry_is_refused_by_its_position(entry: str, reason: str) -> None:
    with pytest.raises(
        SettingsError, match=rf"Entry 2 (\(ci\) )?(has a key that )?{reason}"
    ) as caught:
        parse_environment_keys(f"fine:predict:{OTHER},{entry}")
    output = "".join(traceback.format_exception(caught.value, chain=True))
    assert GOOD[:20] not in str(caught.value)
    assert OTHER not in str(caught.value)
    assert "WINDLASS_API_KEYS" in output


@pytest.mark.parametrize(
    "secret",
    [
        "changeme-changeme-changeme-changeme-1", "CHANGE_ME_" + GOOD, "your-api-key-" + GOOD, "Password" + GOOD,
        "this-is-an-example-key-to-replace-1", "a" * 40, "ab" * 20, GOOD[:11] * 3, GOOD[:16] * 2,
        "0123456789abcdef0123456789abcdef", "1234567890qwertyuiopasdfghjklzxcv", "abcabcabcabcabcabcabcabcabcabcabcabc",
    ],
)  # fmt: skip
def test_weak_keys_are_refused(secret: str) -> None:
    assert find_weakness(secret)
    with pytest.raises(SettingsError) as caught:
        parse_environment_keys(f"ci:predict:{secret}")
    assert secret not in str(caught.value)
    assert "secrets.token_urlsafe" in str(caught.value)


def test_random_keys_are_accepted() -> None:
    """As `secrets` makes them; the same in every run, since one in a hundred million is not."""
    dice = random.Random(7)
    for _ in range(2000):
        short, long = dice.randbytes(16), dice.randbytes(32)
        for secret in (urlsafe_b64encode(long).rstrip(b"=").decode(), long.hex(), short.hex()):
            assert find_weakness(secret) == "", secret


@pytest.mark.parametrize(
    "entries", [f"ci:predict:{GOOD},ci:admin:{OTHER}", f"a:predict:{GOOD},b:admin:{GOOD}"]
)
def test_an_entry_with_the_name_or_key_of_another_is_refused(entries: str) -> None:
    with pytest.raises(SettingsError, match="Entry 2 has the name or the key of another"):
        parse_environment_keys(entries)
