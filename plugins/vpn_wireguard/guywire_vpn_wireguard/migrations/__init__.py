"""Alembic revisions of this plugin's tables."""
