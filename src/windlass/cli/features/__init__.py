"""Commands of `windlass features`."""
