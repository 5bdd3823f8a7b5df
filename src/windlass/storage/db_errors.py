"""Advice for errors of databases, and the timeouts of PostgreSQL connections."""

LIBPQ_TIMEOUTS = {  # a server that is gone is reported within seconds, also where it merely falls silent
    "connect_timeout": 5,
    "keepalives_idle": 5,
    "keepalives_interval": 2,
    "keepalives_count": 3,
    "tcp_user_timeout": 10_000,
}
_ADVICE = {
    "unable to open database file": "Let this user write in its folder, or name another with WINDLASS_HOME.",
    "readonly database": "A read-only home can be served, but nothing is stored there. Let this user write the file and"
    " its folder, or name another with WINDLASS_HOME.",
    "disk is full": "Free some space.",
    "disk I/O error": "See whether the disk is full or broken.",
    "not a database": "Move the file elsewhere, or restore it from a backup.",
    "malformed": "Restore the file from a backup.",
    "database is locked": "Another process is writing for long. Try again, or use PostgreSQL.",
    "lock timeout": "Another process is writing for long. Try again.",
    "permission denied": "Let this user make and change tables there.",
    "does not exist": "Create it, or mend {variable}.",
    "No space left": "Free some space.",
}
_DEFAULT_ADVICE = "See whether it runs and can be reached, then try again."


def next_step(message: str, variable: str) -> str:
    """Returns what to do about a database's error message; `variable` is the environment variable of its URL."""
    advice = next((text for phrase, text in _ADVICE.items() if phrase in message), _DEFAULT_ADVICE)
    return advice.format(variable=variable)
