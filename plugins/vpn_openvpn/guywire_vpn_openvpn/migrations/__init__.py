"""Alembic revisions of this plugin's table."""
