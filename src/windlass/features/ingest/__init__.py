"""Ingests raw files: contract, casting, quality checks, quarantine."""
