"""Rolls out versions: watches the registry, loads bundles, switches versions."""
