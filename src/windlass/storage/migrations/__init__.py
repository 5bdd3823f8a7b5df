"""Alembic's scripts: every step that the tables have taken."""
