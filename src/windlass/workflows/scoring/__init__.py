"""Scores files: locally and on Spark."""
