"""Alembic revisions of the core's tables, and how they are run."""
