"""The Python API: train, load, decide about and look up models and features; `windlass` exports its names."""
