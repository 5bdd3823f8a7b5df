"""Where sibling rooms meet: whole pieces of work such as train, verify and score."""
