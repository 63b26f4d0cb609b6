"""The guywire command."""

from guywire.cli.commands import main

__all__ = ["main"]
