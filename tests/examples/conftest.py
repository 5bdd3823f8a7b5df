"""Fixtures of the examples' tests."""

from tests.examples.credit import bundles, example, home, labelled, raw, snapshot

__all__ = ["bundles", "example", "home", "labelled", "raw", "snapshot"]
