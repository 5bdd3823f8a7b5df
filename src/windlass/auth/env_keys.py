"""Parses the keys of WINDLASS_API_KEYS, for servers without a database: `name:role:key[:rate]`, with commas between.

People choose these, so weak ones are rejected. No error message contains a key.
"""

import re

from windlass.auth.key import ApiKey, Role, hash_secret, is_key_name
from windlass.errors import SettingsError

MIN_LENGTH = 32
MAX_LENGTH = 512
MIN_DISTINCT = 8  # different characters; 32 random hexadecimal digits hardly ever have fewer

_TOKEN = re.compile(r"[A-Za-z0-9._~+/=-]*")  # what a Bearer token may hold
_PLACEHOLDERS = (
    "changeme", "changethis", "replaceme", "replacethis", "placeholder", "example", "password", "yoursecret",
    "yourapikey", "yourkey", "insecure", "secretkey", "topsecret", "notasecret", "12345678", "abcdefgh",
)  # fmt: skip
_HOW_TO_MAKE_ONE = "Make one: python -c 'import secrets; print(secrets.token_urlsafe(32))'"
_RATE = re.compile(r"[1-9][0-9]{0,8}")


def parse_environment_keys(text: str) -> dict[str, ApiKey]:
    """Returns the keys in `text` by hash. Raises SettingsError, which names the entry that cannot be used."""
    keys: dict[str, ApiKey] = {}
    entries = [entry.strip() for entry in text.split(",")]
    for number, entry in enumerate(entries, 1):
        if not entry:
            continue
        key = _parse_entry(number, entry)
        if key.hash in keys or key.name in {other.name for other in keys.values()}:
            raise _entry_error(
                number, "has the name or the key of another entry. Every key needs its own"
            )
        keys[key.hash] = key
    return keys


def _parse_entry(number: int, entry: str) -> ApiKey:
    parts = entry.split(":")
    roles = {role.value: role for role in Role}
    if len(parts) not in (3, 4) or parts[1] not in roles:
        raise _entry_error(
            number, f"is not name:role:key or name:role:key:rate, with a role of {', '.join(roles)}"
        )
    name, role, secret, rate = *parts[:3], (parts[3] if len(parts) == 4 else None)
    if not is_key_name(name):
        raise _entry_error(
            number,
            "has a name that cannot be used: use small letters, digits and . _ @ -, but not policy",
        )
    if rate is not None and not _RATE.fullmatch(rate):
        raise _entry_error(
            number, "has a rate that is not a whole number of requests a minute", name
        )
    weakness = find_weakness(secret)
    if weakness:
        raise _entry_error(number, f"has a key that {weakness}. {_HOW_TO_MAKE_ONE}", name)
    return ApiKey(name, roles[role], hash_secret(secret.encode()), int(rate) if rate else None, 0.0)


def find_weakness(secret: str) -> str:
    """Returns why a chosen key is weak; an empty string where it is not."""
    plain = re.sub(r"[^a-z0-9]", "", secret.lower())
    if len(secret) < MIN_LENGTH:
        return f"is shorter than {MIN_LENGTH} characters"
    if len(secret) > MAX_LENGTH:
        return f"is longer than {MAX_LENGTH} characters"
    if not _TOKEN.fullmatch(secret):
        return "holds other characters than letters, digits and . _ ~ + / = -"
    if any(word in plain for word in _PLACEHOLDERS):
        return "is a placeholder"
    if len(set(secret)) < MIN_DISTINCT or _repeats(secret):
        return "repeats itself"
    return ""


def _repeats(secret: str) -> bool:
    """Returns whether the text repeats a piece of at most half its length."""
    return any(secret[period:] == secret[:-period] for period in range(1, len(secret) // 2 + 1))


def _entry_error(number: int, problem: str, name: str = "") -> SettingsError:
    entry = f"Entry {number}" + (f" ({name})" if name else "")
    return SettingsError(f"WINDLASS_API_KEYS cannot be used. {entry} {problem}.")
