"""The online store: what is known of every entity now, read in microseconds."""
