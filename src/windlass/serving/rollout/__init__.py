"""Rollout of versions: watches the registry, fetches and loads bundles, switches versions."""
