"""Computes a view's features: DuckDB on one machine, Spark on a cluster."""
