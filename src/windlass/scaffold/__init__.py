"""Makes new projects: infers a declaration from a table, and writes the files of a project."""
