"""The inference process: from a request's bytes to an answer's bytes."""
