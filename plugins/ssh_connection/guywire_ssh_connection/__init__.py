"""Connections to devices over SSH: credentials, pushes of configurations, commands."""
