"""Fixtures of the examples' tests."""

from tests.support.credit_example import bundles, example, home, labelled, raw, snapshot

__all__ = ["bundles", "example", "home", "labelled", "raw", "snapshot"]
