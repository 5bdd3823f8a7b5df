"""Computes a view's features: with DuckDB on one machine, with Spark on a cluster."""
