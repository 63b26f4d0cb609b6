"""Shipped with guywire for plugin authors: pytest fixtures and contract suites."""
