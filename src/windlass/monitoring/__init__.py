"""Records of a running server: its prediction ledger and its metrics."""
