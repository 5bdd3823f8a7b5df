"""`--master`, which only `--engine spark` has a use for."""

from windlass.cli.console import say_usage


def check_master(engine: str | None, master: str | None) -> None:
    """Exit with code 2 where a cluster is named and something else is to compute."""
    if master is not None and engine != "spark":
        say_usage("--master is of a Spark cluster. Add --engine spark, or leave it out.")
