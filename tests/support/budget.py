"""How much a run of the tests tries: all of it in CI, a share of it where somebody waits."""

import os
from typing import Any

from hypothesis import HealthCheck, settings

IS_CI = os.environ.get("CI") == "true"
MAX_EXAMPLES = 40  # that a property is tried with outside CI


def example_count(wanted: int) -> int:
    """Returns how many of the wanted examples to try."""
    return wanted if IS_CI else min(wanted, MAX_EXAMPLES)


def examples(wanted: int, **options: Any) -> settings:
    """Has a property tried with so many examples, and fewer where somebody waits: `@examples(300)`."""
    return settings(max_examples=example_count(wanted), **options)


def load_profile() -> None:
    """Has Hypothesis try the same examples in every run, however long they take."""
    settings.register_profile(
        "steady",
        derandomize=True,
        database=None,
        deadline=None,
        max_examples=example_count(100),
        suppress_health_check=[HealthCheck.too_slow],
    )
    settings.load_profile("steady")
