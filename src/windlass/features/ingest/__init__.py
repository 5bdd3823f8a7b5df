"""Ingests raw files: reading, casting, the contract's checks, quarantine."""
