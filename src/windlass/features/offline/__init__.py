"""Stores features over time: snapshots, training sets, point-in-time joins, erasure."""
