"""What databases complain of, and what to do next; and how long one is waited for."""

TIMEOUT = {  # of libpq: a server that is gone is told within seconds, also where it says nothing any more
    "connect_timeout": 5,
    "keepalives_idle": 5,
    "keepalives_interval": 2,
    "keepalives_count": 3,
    "tcp_user_timeout": 10_000,
}
_ADVICE = {
    "unable to open database file": "Let this user write in its folder, or name another with WINDLASS_HOME.",
    "readonly database": "Let this user write the file and its folder, or name another with WINDLASS_HOME.",
    "disk is full": "Free some space.",
    "disk I/O error": "See whether the disk is full or broken.",
    "not a database": "Move the file away, or restore it from a backup.",
    "malformed": "Restore the file from a backup.",
    "database is locked": "Another process is writing for long. Try again, or use PostgreSQL.",
    "lock timeout": "Another process is writing for long. Try again.",
    "permission denied": "Let this user make and change tables there.",
    "does not exist": "Create it, or mend {variable}.",
    "No space left": "Free some space.",
}
_OTHERWISE = "See whether it runs and can be reached, then try again."


def advice(told: str, variable: str) -> str:
    """What to do about what a database told; `variable` of the environment names it."""
    found = next((step for sign, step in _ADVICE.items() if sign in told), _OTHERWISE)
    return found.format(variable=variable)
