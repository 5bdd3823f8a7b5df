"""Parses the headers Prefer (RFC 7240) and Idempotency-Key (draft-ietf-httpapi-idempotency-key-header)."""

import re
from dataclasses import dataclass

from windlass.control.error_mapping import fault
from windlass.web.messages import Request
from windlass.web.problems import Problem

MAX_WAIT_SECONDS = 60.0  # that a request waits for its job

KEY_PATTERN = r'[!#-~]{1,255}|"(?:[ !#-\[\]-~]|\\["\\]){1,255}"'  # bare, or a string of RFC 9651
_FULL_KEY = re.compile(KEY_PATTERN)


@dataclass(frozen=True)
class PreferHeader:
    """How long a request waits for its job, in seconds; `applied` is the Preference-Applied header."""

    seconds: float = MAX_WAIT_SECONDS
    applied: bytes = b""


def parse_prefer(request: Request) -> PreferHeader:
    """Parses `Prefer`: `respond-async`, `wait=SECONDS`, or both."""
    preferences: dict[str, str] = {}
    for name, value in request.head.headers:
        if name == b"prefer":
            for part in value.decode("latin-1").split(","):
                token, _, given = part.partition(";")[0].partition("=")
                preferences.setdefault(token.strip().lower(), given.strip().strip('"'))
    granted, seconds = [], MAX_WAIT_SECONDS
    if "respond-async" in preferences:
        granted, seconds = ["respond-async"], 0.0
    wait = preferences.get("wait", "")
    if wait.isascii() and wait.isdecimal() and len(wait) < 9 and int(wait) <= MAX_WAIT_SECONDS:
        granted, seconds = [*granted, f"wait={int(wait)}"], float(wait)
    return PreferHeader(seconds, ", ".join(granted).encode())


def idempotency_key(request: Request) -> str | None:
    """Returns the key, sent as a quoted string or bare. Raises Problem 400."""
    value = request.header(b"idempotency-key")
    if value is None:
        return None
    key = value.decode("latin-1").strip(" \t")
    if not _FULL_KEY.fullmatch(key):
        message = "Send 1 to 255 printable ASCII characters, in double quotes."
        raise Problem(
            400, "The Idempotency-Key cannot be used.", [fault("Idempotency-Key", message)]
        )
    return re.sub(r"\\(.)", r"\1", key[1:-1]) if key.startswith('"') else key
