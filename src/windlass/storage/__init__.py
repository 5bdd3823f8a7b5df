"""Storage: the database, and the blob stores of bundles."""
