"""Stores the history of features: snapshots, parts, training sets, erasure."""
