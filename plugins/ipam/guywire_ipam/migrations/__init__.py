"""Alembic revisions of the address tables."""
