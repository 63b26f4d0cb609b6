"""Alembic revisions of the connection tables."""
