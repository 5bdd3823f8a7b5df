"""Commands of `windlass`, one file a group."""
