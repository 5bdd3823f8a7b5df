"""Features: from raw events through quality into the offline store, and from there online."""
