"""Fixtures of the tests of the client."""

from tests.support.registry_home import registry_home

__all__ = ["registry_home"]
