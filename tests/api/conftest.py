"""Fixtures of the tests of the Python API."""

from tests.support.lending_project import lending
from tests.support.registry_home import registry_home

__all__ = ["lending", "registry_home"]
