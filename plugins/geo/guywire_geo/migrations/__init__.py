"""Alembic revisions of the geographic tables."""
