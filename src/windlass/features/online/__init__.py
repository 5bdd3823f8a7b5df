"""Serves the newest state of every entity from an online store, in microseconds."""
