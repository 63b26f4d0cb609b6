"""The guywire command."""
