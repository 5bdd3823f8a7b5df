"""What a running service tells of itself: the ledger and its metrics."""
