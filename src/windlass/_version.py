"""Holds the version of this package: `windlass.__version__`, and what modules inside the package import."""

__version__ = "0.1.0"
